import { randomUUID } from 'node:crypto';
import type { Message } from '@groupcast/shared';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { Database } from '../src/db/database.ts';
import { createGroup } from '../src/groups/group-service.ts';
import { removeMember } from '../src/groups/member-service.ts';
import { deleteMessage, listMessages, type NewContent, sendMessage } from '../src/messages/message-service.ts';
import { groupDeps } from './group-deps.ts';

const idle = { wake: () => undefined, whenDispatched: async () => false };

/** Messages of clients that send by socket and by HTTP. `open` has the same database as often as there are processes. */
export function describeCopies(backend: string, open: () => Promise<Database[]>): void {
  describe(`copies of a message by socket and by HTTP, on ${backend}`, () => {
    let databases: Database[];
    let processes: ReturnType<typeof groupDeps<typeof idle>>[];
    let groupId: string;
    beforeAll(async () => {
      databases = await open();
      processes = databases.map((db) => groupDeps(db, idle, { pairsCopies: true }));
    });
    afterAll(async () => {
      for (const db of databases) await db.close();
    });
    beforeEach(async () => {
      groupId = randomUUID();
      await createGroup(deps(), { id: groupId, name: 'x', kind: 'group', userId: 'ann', memberIds: ['ben'] });
    });

    let turn = 0;
    /** The processes in turns. */
    function deps(): (typeof processes)[number] {
      turn += 1;
      const next = processes[turn % processes.length];
      if (!next) throw new Error('there is no process');
      return next;
    }
    type Way = 'socket' | 'http';
    const send = async (way: Way | undefined, fields: Partial<NewContent> = {}, userId = 'ann'): Promise<Message> =>
      sendMessage(deps(), { groupId, userId, content: 'hi', way, ...fields });
    const saved = async (): Promise<string[]> =>
      (await listMessages(deps(), { groupId, userId: 'ben', limit: 200 })).messages.map(({ id }) => id);
    /** All that is waited for ends now. */
    const end = async () => databases[0]?.query(`update message_copies set ends_at = now() - interval '1 second'`);
    const rows = async () =>
      (await databases[0]?.query('select way, client_id from message_copies where group_id = $1', [groupId]))?.rows;

    test.each([
      ['socket', 'http'],
      ['http', 'socket'],
    ] as const)('the one by %s and the one by %s are one, with the fields of the first (G78)', async (one, other) => {
      const first = await send(one, { custom: { of: one }, clientMessageId: 'c1' });
      const second = await send(other, { attachments: [{ url: '/a' }], kind: 'image' });
      expect(second).toEqual(first);
      expect(await saved()).toEqual([first.id]);
      expect(await rows()).toEqual([]);
    });

    test('two by the same way are two, and the nth by one way is the nth by the other', async () => {
      for (const ways of ['sshh', 'shsh', 'hssh', 'hhss', 'shhs']) {
        const content = ways;
        const sent = { s: [] as string[], h: [] as string[] };
        for (const way of ways as Iterable<'s' | 'h'>) {
          sent[way].push((await send(way === 's' ? 'socket' : 'http', { content })).id);
        }
        expect([ways, sent.h]).toEqual([ways, sent.s]);
        expect(new Set(sent.s).size).toBe(2);
      }
      const [one, other] = [await send('http', { content: 'twice' }), await send('http', { content: 'twice' })];
      expect(other.id).not.toBe(one.id);
    });

    test('another sender, content or way in is another message', async () => {
      await send('socket');
      await send('http', {}, 'ben');
      await send('http', { content: 'hi ' });
      await send(undefined);
      expect((await saved()).length).toBe(4);
      await send('http');
      expect((await saved()).length).toBe(4);
    });

    test('of copies that come at the same moment each pair is one message, on all processes (G78)', async () => {
      const contents = Array.from({ length: 24 }, (_, n) => `m${n % 12}`);
      const [bySocket, byHttp] = await Promise.all(
        (['socket', 'http'] as const).map(async (way) =>
          Promise.all(
            contents.map(async (content) => {
              const process = processes.at(way === 'socket' ? 0 : -1) ?? deps();
              return sendMessage(process, { groupId, userId: 'ann', content, way });
            }),
          ),
        ),
      );
      const idsOf = (messages: Message[] = []) => messages.map(({ id }) => id).toSorted();
      expect(idsOf(bySocket)).toEqual(idsOf(byHttp));
      expect((await saved()).toSorted()).toEqual(idsOf(bySocket));
      expect(new Set(idsOf(bySocket)).size).toBe(24);
      expect(await rows()).toEqual([]);
    });

    test('after 10 s it is a message of its own, and nothing is left of the first', async () => {
      const first = await send('socket');
      const [row] = (
        await databases[0]?.query<{ s: number }>(
          'select round(extract(epoch from ends_at - now()))::int as s from message_copies where group_id = $1',
          [groupId],
        )
      )?.rows ?? [undefined];
      expect(row?.s).toBeGreaterThan(5);
      expect(row?.s).toBeLessThanOrEqual(10);
      await end();
      const second = await send('http');
      expect(await saved()).toEqual([first.id, second.id]);
      expect(await rows()).toEqual([{ way: 'http', client_id: null }]);
      expect((await send('socket')).id).toBe(second.id);
    });

    test('a copy with a client id may be repeated, by any way, and is no copy of a further one', async () => {
      const first = await send('socket', { clientMessageId: 'by socket' });
      const second = await send('http', { clientMessageId: 'by http' });
      const further = await send('socket', { clientMessageId: 'next' });
      expect([second.id, further.id === first.id]).toEqual([first.id, false]);
      for (const [way, clientMessageId, content] of [
        ['http', 'by http', 'hi'],
        ['socket', 'by socket', 'hi'],
        [undefined, 'by http', 'other'],
        ['http', 'by socket', 'hi'],
      ] as const) {
        expect((await send(way, { clientMessageId, content })).id).toBe(first.id);
      }
      expect((await send('http')).id).toBe(further.id);
      expect((await saved()).length).toBe(2);
    });

    test('a sender who is removed in between sends no copy either, and a deleted message stays deleted', async () => {
      await send('socket', {}, 'ben');
      await removeMember(deps(), { groupId, userId: 'ann', memberId: 'ben' });
      await expect(send('http', {}, 'ben')).rejects.toMatchObject({ code: 'NOT_FOUND' });
      const own = await send('socket');
      await deleteMessage(deps(), { groupId, userId: 'ann', messageId: own.id });
      expect(await send('http')).toMatchObject({ id: own.id, content: '' });
    });

    test('rows that have ended go with those that come, and no more of them are kept than came in 10 s', async () => {
      for (let n = 0; n < 20; n += 1) await send('socket', { content: `${n}` });
      await end();
      // Each takes ten of them along, also those of other groups.
      for (const content of ['a', 'b', 'c', 'd']) await send('http', { content });
      expect((await rows())?.length).toBe(4);
    });
  });
}
