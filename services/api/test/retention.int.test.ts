import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type PostgresServer, startPostgres } from '@groupcast/testing';
import { pino } from 'pino';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { Database } from '../src/db/database.ts';
import { openEmbeddedDatabase } from '../src/db/embedded-database.ts';
import { migrate } from '../src/db/migrate.ts';
import { openPostgresDatabase } from '../src/db/postgres-database.ts';
import { readAccepted } from '../src/events/history-store.ts';
import { listGroupsOf } from '../src/group-list/group-list-service.ts';
import { createGroup, deleteGroup, updateGroup } from '../src/groups/group-service.ts';
import { listEvents, listMessages, sendMessage } from '../src/messages/message-service.ts';
import { createApiMetrics } from '../src/metrics.ts';
import { createRetention } from '../src/retention/retention.ts';
import { createRetentionStore } from '../src/retention/retention-store.ts';
import { groupDeps } from './group-deps.ts';

const log = pino({ level: 'silent' });
const DAY = `interval '1 day'`;

let postgres: PostgresServer;
let folder: string;
beforeAll(async () => {
  postgres = await startPostgres();
  folder = mkdtempSync(join(tmpdir(), 'groupcast-retention-'));
});
afterAll(async () => {
  await postgres.stop();
  rmSync(folder, { recursive: true, force: true });
});

describe.each([
  ['the embedded database', async () => openEmbeddedDatabase(folder)],
  ['PostgreSQL', async () => openPostgresDatabase(await postgres.createDatabase(), log)],
])('retention on %s', (_backend, open: () => Promise<Database>) => {
  let db: Database;
  let deps: ReturnType<typeof groupDeps>;
  let groupId: string;
  let epoch: string;
  beforeAll(async () => {
    db = await open();
    await migrate(db);
    deps = groupDeps(db, { wake: () => undefined, whenDispatched: async () => true });
  });
  afterAll(async () => {
    await db.close();
  });
  beforeEach(async () => {
    const { group } = await createGroup(deps, { userId: 'alice', kind: 'group', memberIds: ['bob'] });
    groupId = group.id;
    ({ epoch } = group.position);
  });

  const say = async (content: string) => sendMessage(deps, { groupId, userId: 'alice', content });
  /** The group's events up to here become as old as `days`, and the relay has accepted those up to `accepted`. */
  async function age(days: number, to: number, accepted = to): Promise<void> {
    for (const table of ['messages', 'events']) {
      await db.query(`update ${table} set created_at = now() - $1 * ${DAY} where group_id = $2 and seq <= $3`, [
        days,
        groupId,
        to,
      ]);
    }
    await db.query(
      `insert into outbox (group_id, dispatched_seq) values ($1, $2) on conflict (group_id) do update set dispatched_seq = $2`,
      [groupId, accepted],
    );
  }
  const retention = (days?: number) => {
    const metrics = createApiMetrics(async () => ({ events: 0, groups: 0, oldestSeconds: 0 }));
    return createRetention({ store: createRetentionStore(db), metrics, log }, { days });
  };
  const contents = async () =>
    (await listMessages(deps, { groupId, userId: 'bob', limit: 50 })).messages.map(({ content }) => content);
  const summary = async () => {
    const { groups } = await listGroupsOf(db, { userId: 'bob', limit: 200 });
    return groups.find(({ id }) => id === groupId);
  };

  test('removes what is kept of copies of messages once they have ended, and not before', async () => {
    const seqs = async () =>
      (await db.query<{ seq: number }>('select seq from message_copies where group_id = $1', [groupId])).rows;
    for (const [seq, ends] of [
      [1, '-1 second'],
      [2, '10 seconds'],
    ]) {
      await db.query(
        `insert into message_copies (group_id, sender_id, content_hash, way, seq, ends_at)
         values ($1, 'alice', '', 'http', $2, now() + $3::interval)`,
        [groupId, seq, ends],
      );
    }
    await retention().run();
    expect(await seqs()).toEqual([{ seq: 2 }]);
  });

  test('history that is too old goes, and positions go on (G63)', async () => {
    for (const content of ['one', 'two', 'three']) await say(content);
    await age(31, 3);
    expect(await retention(30).run()).toBe(3);
    expect(await contents()).toEqual(['three']);
    expect(await summary()).toMatchObject({ position: { epoch, seq: 4 }, unreadCount: 1 });
    expect(await say('four')).toMatchObject({ epoch, seq: 5 });
    expect(await summary()).toMatchObject({ unreadCount: 2, lastMessage: { content: 'four' } });
  });

  test('where everything goes, positions go on too, and nothing is unread', async () => {
    for (const content of ['one', 'two']) await say(content);
    await age(31, 3);
    await retention(30).run();
    expect(await contents()).toEqual([]);
    expect(await summary()).toMatchObject({ position: { epoch, seq: 3 }, unreadCount: 0, lastMessage: null });
    expect(await readAccepted(db, [groupId], 10)).toEqual([{ groupId, position: { epoch, seq: 3 }, events: [] }]);
    expect(await say('three')).toMatchObject({ epoch, seq: 4 });
    expect(await summary()).toMatchObject({ unreadCount: 1 });
  });

  test('a client whose position is below what is kept is told to reload, and one at the border is not (G63)', async () => {
    for (const content of ['one', 'two', 'three']) await say(content);
    await age(31, 3);
    await retention(30).run();
    const ask = async (after: number) => listEvents(deps, { groupId, userId: 'bob', after, epoch, limit: 10 });
    expect(await ask(2)).toEqual({ reset: true, events: [], position: { epoch, seq: 4 }, more: false });
    expect(await ask(3)).toMatchObject({ events: [{ seq: 4 }], position: { seq: 4 } });
  });

  test('an event that the relay has not accepted stays, however old it is', async () => {
    for (const content of ['one', 'two']) await say(content);
    await age(31, 3, 2);
    await retention(30).run();
    expect(await contents()).toEqual(['two']);
  });

  test('… also in a group of which the relay has accepted nothing yet', async () => {
    await say('one');
    await age(31, 2);
    await db.query('delete from outbox where group_id = $1', [groupId]);
    await retention(30).run();
    expect(await contents()).toEqual(['one']);
  });

  test('an old event behind a newer one stays: the rest has no holes', async () => {
    for (const content of ['one', 'two']) await say(content);
    await age(31, 3);
    await db.query('update messages set created_at = now() where group_id = $1 and seq = 2', [groupId]);
    await retention(30).run();
    expect(await contents()).toEqual(['one', 'two']);
  });

  test('a setting of the group’s own makes it shorter, and not longer', async () => {
    await say('one');
    await updateGroup(deps, { groupId, userId: 'alice', retentionDays: 60 });
    await age(45, 3);
    await retention().run();
    expect(await contents()).toEqual(['one']);
    await retention(30).run();
    expect(await contents()).toEqual([]);
    await say('two');
    await updateGroup(deps, { groupId, userId: 'alice', retentionDays: 5 });
    await age(10, 5);
    await retention(30).run();
    expect(await contents()).toEqual([]);
  });

  test('without any setting nothing is removed', async () => {
    await say('one');
    await age(10_000, 2);
    expect(await retention().run()).toBe(0);
    expect(await contents()).toEqual(['one']);
  });

  test('a deletion of a message that is gone counts once', async () => {
    const first = await say('one');
    await say('two');
    await say('three');
    const { deleteMessage } = await import('../src/messages/message-service.ts');
    await deleteMessage(deps, { groupId, userId: 'alice', messageId: first.id });
    expect(await summary()).toMatchObject({ unreadCount: 2 });
    await age(31, 2);
    await retention(30).run();
    expect(await summary()).toMatchObject({ unreadCount: 2 });
  });

  test('more than one step may remove goes in several, in deleted groups too', async () => {
    for (let n = 0; n < 12; n += 1) await Promise.all(Array.from({ length: 50 }, async (_, i) => say(`${n} ${i}`)));
    await deleteGroup(deps, { groupId, userId: 'alice' });
    await age(31, 602);
    expect(await retention(30).run()).toBe(602);
    const { rows } = await db.query('select floor_seq, floor_ordinal from groups where id = $1', [groupId]);
    expect(rows).toEqual([{ floor_seq: 602, floor_ordinal: 600 }]);
  });
});
