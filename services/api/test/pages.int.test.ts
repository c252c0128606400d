import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { storeCursors } from '../src/cursors/cursor-store.ts';
import { countReceipts, readOwnCounts } from '../src/cursors/receipt-store.ts';
import type { Database, Queryable } from '../src/db/database.ts';
import { openEmbeddedDatabase } from '../src/db/embedded-database.ts';
import { migrate } from '../src/db/migrate.ts';
import { readEvents } from '../src/events/history-store.ts';
import { listGroups } from '../src/group-list/group-list-store.ts';
import { readMembers } from '../src/groups/member-store.ts';
import { readPage, saveMessages } from '../src/messages/message-store.ts';
import { createOutboxStore } from '../src/outbox/outbox-store.ts';
import { readUsersAs } from '../src/users/user-store.ts';
import { createGenericStepCounter } from './plans.ts';

const MEMBERS = 4_000;
const MESSAGES = 4_000;
const GROUPS = 1_000;
/** Steps of a page, with what is looked up for each of its rows. */
const PAGE_STEPS = 1_000;

let folder: string;
let db: Database;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'groupcast-pages-'));
  db = await openEmbeddedDatabase(folder);
  await migrate(db);
  await db.script(`
    insert into users (id) values ('stranger');
    insert into groups (id, epoch, kind) select 'g' || n, '1-a', 'group' from generate_series(1, ${GROUPS}) n;
    insert into group_members (group_id, user_id, role, joined_at)
      select 'g1', 'm' || n, 'member', timestamptz '2026-01-01' + n * interval '1 second' from generate_series(1, ${MEMBERS}) n;
    insert into group_members (group_id, user_id, role) select 'g' || n, 'busy', 'owner' from generate_series(1, ${GROUPS}) n;
    insert into group_members (group_id, user_id, role) select 'g' || n, 'talker', 'member' from generate_series(2, 100) n;
    insert into messages (id, client_message_id, group_id, seq, ordinal, sender_id, content, created_at)
      select 'e' || n, md5('e' || n), 'g1', n, n, 'm1', 'x', now() from generate_series(1, ${MESSAGES}) n;
    insert into messages (id, client_message_id, group_id, seq, ordinal, sender_id, content, created_at)
      select 'o' || g || '-' || n, md5('o' || g || '-' || n), 'g' || g, n, n, 's' || g, 'x', timestamptz '2026-01-01'
      from generate_series(2, 100) g cross join generate_series(1, 10) n;
    analyze;
  `);
});
afterAll(async () => {
  await db.close();
  rmSync(folder, { recursive: true, force: true });
});

test('a page of members costs as much wherever it begins, by a plan that is kept too', async () => {
  const { q, steps } = createGenericStepCounter(db);
  const after = { timeKey: '2026-01-01T00:33:20Z', id: 'm2000' };
  const { rows } = await readMembers(q, 'g1', { limit: 10, after });
  expect(rows[0]?.userId).toBe('m2001');
  expect(steps()).toBeGreaterThan(0);
  expect(steps()).toBeLessThan(PAGE_STEPS);
});

test('a page of messages costs as much wherever it ends, by a plan that is kept too', async () => {
  const { q, steps } = createGenericStepCounter(db);
  const { rows } = await readPage(q, 'g1', { before: 2_001, limit: 10 });
  expect(rows.map(({ seq }) => seq)).toEqual(Array.from({ length: 10 }, (_, n) => 1_991 + n));
  expect(steps()).toBeGreaterThan(0);
  expect(steps()).toBeLessThan(PAGE_STEPS);
});

test('a page of events costs as much wherever it begins, by a plan that is kept too', async () => {
  const { q, steps } = createGenericStepCounter(db);
  const events = await readEvents(q, 'g1', '1-a', 2_000, 10);
  expect(events.map(({ seq }) => seq)).toEqual(Array.from({ length: 10 }, (_, n) => 2_001 + n));
  expect(steps()).toBeGreaterThan(0);
  expect(steps()).toBeLessThan(PAGE_STEPS);
});

test('the list of a thousand groups looks at each of them a few times, by a plan that is kept too', async () => {
  const { q, steps } = createGenericStepCounter(db);
  const { rows } = await listGroups(q, 'busy', undefined, 10);
  expect(rows).toHaveLength(10);
  expect(steps()).toBeGreaterThan(0);
  expect(steps()).toBeLessThan(30 * GROUPS);
});

test('the list looks each last message up once, by a plan that is kept too', async () => {
  const small = createGenericStepCounter(db);
  await listGroups(small.q, 'talker', undefined, 9);
  const large = createGenericStepCounter(db);
  const { rows } = await listGroups(large.q, 'talker', undefined, 89);
  expect(rows.every(({ last }) => last !== null)).toBe(true);
  const perGroup = (large.steps() - small.steps()) / 80;
  expect(perGroup).toBeGreaterThan(20);
  expect(perGroup).toBeLessThan(105);
});

test('each row of a page of the list costs as much in a thousand groups as in a hundred, by a plan that is kept too', async () => {
  const perGroup = async (userId: string): Promise<number> => {
    const [small, large] = [createGenericStepCounter(db), createGenericStepCounter(db)];
    await listGroups(small.q, userId, undefined, 9);
    await listGroups(large.q, userId, undefined, 89);
    return (large.steps() - small.steps()) / 80;
  };
  expect(await perGroup('talker')).toBeGreaterThan(20);
  expect(await perGroup('busy')).toBeLessThan(2 * (await perGroup('talker')));
});

test('where one member has written everything, nobody reads it for another’s last message', async () => {
  const { q, steps } = createGenericStepCounter(db);
  expect(await readUsersAs(q, 'busy', ['stranger'])).toEqual([]);
  expect(steps()).toBeGreaterThan(0);
  expect(steps()).toBeLessThan(30 * GROUPS);
});

test('a group that has fallen quiet is listed by its last message, which nobody looks for in its history', async () => {
  await saveMessages(db, [{ id: 'late', groupId: 'g500', senderId: 'busy', content: 'x' }], { waits: true });
  const first = async () => (await listGroups(db, 'busy', undefined, 1)).rows[0];
  expect(await first()).toMatchObject({ id: 'g500', seq: 1 });
  const store = createOutboxStore(db, { owner: 'me', leaseMs: 60_000 });
  const claim = await store.claim('g500', 10);
  if (claim.kind !== 'claimed') throw new Error(claim.kind);
  expect(await store.settle([{ lease: { ...claim.lease, dispatchedSeq: 1 }, closes: true }])).toEqual(['released']);
  await db.query(`delete from messages where group_id = 'g500'`);
  expect(await first()).toMatchObject({ id: 'g500', last: null });
});

test('cursors of a few members cost as much in a group of thousands, by a plan that is kept too', async () => {
  const { q, steps } = createGenericStepCounter(db);
  const updates = ['m7', 'm8', 'm9'].map((userId) => ({ groupId: 'g1', userId, received: 9, read: 9 }));
  const { memberCounts, moved } = await storeCursors(q, updates);
  expect([memberCounts.get('g1'), moved]).toEqual([0, []]);
  await db.query(`update groups set member_count = ${MEMBERS} where id = 'g1'`);
  const { moved: again } = await storeCursors(q, updates);
  expect(again.map(({ userId, read }) => [userId, read])).toEqual(updates.map(({ userId }) => [userId, [9, 9]]));
  expect(steps()).toBeGreaterThan(0);
  expect(steps()).toBeLessThan(PAGE_STEPS);
});

test('those who have read a message are counted by one look at each member, by a plan that is kept too', async () => {
  const read: [number, number] = [MESSAGES - 5, MESSAGES + 5];
  const moved = ['m3', 'm4', 'm5'].map((userId) => ({ groupId: 'g1', userId, received: read, read }));
  const { q, steps } = createGenericStepCounter(db);
  const counts = await countReceipts(q, moved, new Map([['g1', MEMBERS]]));
  expect(counts.get('g1')?.map(({ userId }) => userId)).toContain('m1');
  expect(await readOwnCounts(q, 'g1', 'm1')).toMatchObject({ read: 0 });
  expect(steps()).toBeGreaterThan(MEMBERS);
  expect(steps()).toBeLessThan(12 * MEMBERS);
});

test('a message is saved without a look at the other groups of its sender', async () => {
  const read = async (tx: Queryable): Promise<number> => {
    const { rows } = await tx.query<{ count: number }>(
      `select (idx_tup_fetch + seq_tup_read)::int as count from pg_stat_xact_user_tables where relname = 'group_members'`,
    );
    return rows[0]?.count ?? 0;
  };
  const counted = await db.transaction(async (tx) => {
    const before = await read(tx);
    const message = { id: 'busy-one', groupId: 'g900', senderId: 'busy', content: 'x' };
    expect((await saveMessages(tx, [message], { waits: true }))[0]).toMatchObject({ kind: 'saved' });
    return (await read(tx)) - before;
  });
  expect(counted).toBeGreaterThan(0);
  expect(counted).toBeLessThan(10);
});

test('a message is saved without a look at the others of its sender', async () => {
  const read = async (tx: Queryable): Promise<number> => {
    const { rows } = await tx.query<{ count: number }>(
      `select idx_tup_fetch::int as count from pg_stat_xact_user_tables where relname = 'messages'`,
    );
    return rows[0]?.count ?? 0;
  };
  const counted = await db.transaction(async (tx) => {
    const message = { groupId: 'g1', senderId: 'm1', content: 'x' };
    await saveMessages(tx, [{ ...message, id: 'once', clientMessageId: 'c1' }], { waits: true });
    const before = await read(tx);
    const known = await saveMessages(tx, [{ ...message, id: 'twice', clientMessageId: 'c1' }], { waits: true });
    const saved = await saveMessages(tx, [{ ...message, id: 'other' }], { waits: true });
    expect([...known, ...saved].map(({ kind }) => kind)).toEqual(['known', 'saved']);
    return (await read(tx)) - before;
  });
  expect(counted).toBeGreaterThan(0);
  expect(counted).toBeLessThan(100);
});
