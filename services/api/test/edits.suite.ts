import { randomUUID } from 'node:crypto';
import type { Message } from '@groupcast/shared';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import type { Database } from '../src/db/database.ts';
import { createGroup } from '../src/groups/group-service.ts';
import { editMessage, listEvents, sendMessage } from '../src/messages/message-service.ts';
import { groupDeps } from './group-deps.ts';

const idle = { wake: () => undefined, whenDispatched: async () => false };
const HOUR_MS = 3_600_000;

/** The time of an edit, by which a client knows the later one. `open` has the same database as often as there are processes. */
export function describeEdits(backend: string, open: () => Promise<Database[]>): void {
  describe(`edits of a message, on ${backend}`, () => {
    let databases: Database[];
    let processes: ReturnType<typeof groupDeps<typeof idle>>[];
    let groupId: string;
    let message: Message;
    let turn = 0;
    /** The processes in turns. */
    function deps(): (typeof processes)[number] {
      turn += 1;
      const next = processes[turn % processes.length];
      if (!next) throw new Error('there is no process');
      return next;
    }
    beforeAll(async () => {
      databases = await open();
      processes = databases.map((db) => groupDeps(db, idle));
    });
    afterAll(async () => {
      for (const db of databases) await db.close();
    });
    beforeEach(async () => {
      groupId = randomUUID();
      await createGroup(deps(), { id: groupId, name: 'x', kind: 'group', userId: 'ann', memberIds: [] });
      message = await sendMessage(deps(), { groupId, userId: 'ann', content: 'hi' });
    });
    afterEach(() => {
      vi.useRealTimers();
    });

    async function edit(content: string): Promise<string> {
      const edited = await editMessage(deps(), { groupId, userId: 'ann', messageId: message.id, content });
      return edited.updatedAt ?? 'none';
    }
    /** The times of the edits, in the order of their positions. */
    async function told(): Promise<unknown[]> {
      const { events } = await listEvents(deps(), { groupId, userId: 'ann', after: message.seq, limit: 100 });
      return events.map(({ updatedAt }) => updatedAt);
    }
    const risesStrictly = (times: readonly unknown[]): boolean =>
      times.every((time, index) => index === 0 || String(time) > String(times[index - 1]));

    test('have times that rise with their positions, whatever the clock of the process says', async () => {
      const now = Date.now();
      const times: string[] = [];
      for (const ahead of [HOUR_MS, 0, -HOUR_MS]) {
        vi.useFakeTimers({ toFake: ['Date'], now: now + ahead });
        times.push(await edit(`by a clock that is ${ahead} ms ahead`));
      }
      expect(times).toEqual(await told());
      expect([risesStrictly(times), (times[0] ?? '') >= message.createdAt]).toEqual([true, true]);
    });

    test('have times of their own when they come at the same moment', async () => {
      const times = await Promise.all(Array.from({ length: 30 }, async (_, index) => edit(`edit ${index}`)));
      const inOrder = await told();
      expect(times.toSorted()).toEqual(inOrder);
      expect(risesStrictly(inOrder)).toBe(true);
    });
  });
}
