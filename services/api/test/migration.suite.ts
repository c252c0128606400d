import type { GroupEvent, JsonObject } from '@groupcast/shared';
import { until } from '@groupcast/testing';
import { pino } from 'pino';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Database } from '../src/db/database.ts';
import { migrate } from '../src/db/migrate.ts';
import { readAccepted } from '../src/events/history-store.ts';
import { messagePayload } from '../src/events/stored-event.ts';
import { listGroupsOf } from '../src/group-list/group-list-service.ts';
import { getGroup } from '../src/groups/group-service.ts';
import { groupIdsOf } from '../src/groups/group-store.ts';
import { listEvents, listMessages, sendMessage } from '../src/messages/message-service.ts';
import { createApiMetrics } from '../src/metrics.ts';
import { createDispatcher } from '../src/outbox/dispatcher.ts';
import { createOutboxStore } from '../src/outbox/outbox-store.ts';
import { createRelayClient } from '../src/outbox/relay-client.ts';
import { groupDeps } from './group-deps.ts';
import { createRelayStub } from './relay-stub.ts';
import {
  createReleasedRows,
  migrateToReleased,
  type OldGroup,
  type OldMember,
  RELEASED_SETTLE,
  RELEASED_STATEMENTS,
} from './released-store.ts';

const log = pino({ level: 'silent' });
const USERS = ['alice', 'bob', 'carol', 'dave'] as const;
/** More than one part of the migration copies, in one group, in the middle of the others. */
const MANY = 10_200;

/** Groups with everything that the released version could leave behind. */
function createHistory() {
  const old = createReleasedRows();
  // Their order is not the one of their bytes in every collation.
  for (const groupId of ['a', 'A-1', 'b c', 'many', 'z', 'ended', 'stuck', 'empty']) {
    old.create(groupId, groupId === 'empty' ? ['alice'] : ['alice', 'bob', 'carol']);
  }
  for (let n = 0; n < MANY; n += 1) {
    const seq = old.say('many', USERS[n % 3] ?? 'alice', `text ${n}`);
    if (n % 1_000 === 7) old.edit('many', seq, `edited ${n}`);
    if (n % 1_500 === 9) old.erase('many', seq - 1);
  }
  old.markRead('many', 'bob', MANY - 500);
  old.markRead('many', 'carol', 0);
  for (const groupId of ['a', 'A-1', 'b c', 'z', 'ended', 'stuck']) {
    const first = old.say(groupId, 'alice', 'one', { client_message_id: 'k' });
    const second = old.say(groupId, 'bob', 'two', { attachments: [{ kind: 'picture' }] });
    const third = old.say(groupId, 'alice', 'three');
    old.edit(groupId, first, 'one, edited');
    old.edit(groupId, second, 'two, edited');
    old.erase(groupId, second);
    old.omit(groupId, third, 'PAYLOAD_TOO_LARGE');
    old.add(groupId, 'dave');
    old.say(groupId, 'dave', 'hello', { client_message_id: 'k' });
    old.erase(groupId, old.say(groupId, 'bob', 'never mind'));
    old.markRead(groupId, 'carol', second);
  }
  // The relay has refused the event that tells of a deletion.
  old.erase('b c', old.say('b c', 'alice', 'gone'));
  old.omit('b c', old.groups.get('b c')?.seq ?? 0, 'INVALID_PAYLOAD');
  // Someone who left and came back.
  old.remove('z', 'bob');
  old.say('z', 'carol', 'bob is away');
  old.add('z', 'bob');
  old.say('z', 'carol', 'bob is back');
  old.end('ended');
  for (const group of old.groups.values()) group.dispatched_seq = group.seq;
  const [stuck, leased, many] = ['stuck', 'a', 'many'].map((id) => old.groups.get(id) as OldGroup);
  if (stuck) Object.assign(stuck, { dispatched_seq: 3, attempts: 5, retry_at: '2026-03-02T00:00:00Z' });
  if (leased) {
    Object.assign(leased, {
      dispatched_seq: 6,
      lease_owner: 'dead',
      lease_token: 41,
      lease_until: '2026-03-02T00:00:00Z',
    });
  }
  if (many) many.dispatched_seq = many.seq - 1_234;
  // A group whose events somebody has removed by hand.
  const bare = old.groups.get('empty');
  old.events.splice(
    old.events.findIndex(({ group_id }) => group_id === 'empty'),
    1,
  );
  if (bare) Object.assign(bare, { seq: 9, dispatched_seq: 9 });
  return old;
}

type History = ReturnType<typeof createHistory>;

/** The answers of the released version, by its rows. New is that a message's place in the history has its newest text. */
function expected(old: History) {
  const eventsOf = ({ id: groupId, epoch }: OldGroup): GroupEvent[] => {
    const messages = new Map(old.messages.filter((one) => one.group_id === groupId).map((one) => [one.seq, one]));
    return old.events
      .filter(({ group_id }) => group_id === groupId)
      .map(({ seq, id, type, payload }) => {
        const message = messages.get(seq);
        const now: JsonObject =
          type === 'new-message' && message
            ? {
                ...messagePayload({
                  senderId: message.sender_id,
                  content: message.content,
                  createdAt: new Date(message.created_at),
                  clientMessageId: message.client_message_id ?? undefined,
                  attachments: message.attachments ?? undefined,
                  updatedAt: message.updated_at ? new Date(message.updated_at) : undefined,
                }),
                ...(message.deleted_at ? { deleted: true } : {}),
              }
            : payload;
        return { ...now, event: type, id, groupId, epoch, seq };
      });
  };
  const messagesOf = (groupId: string) =>
    old.messages.filter((one) => one.group_id === groupId && one.deleted_at === null);
  /** Those who came back have read what they had said before. */
  const readSeqOf = ({ group_id, user_id, read_seq }: OldMember): number =>
    old.messages.reduce(
      (seq, one) => (one.group_id === group_id && one.sender_id === user_id ? Math.max(seq, one.seq) : seq),
      read_seq,
    );
  const listOf = (userId: string) =>
    [...old.groups.values()]
      .filter(({ deleted_at }) => deleted_at === null)
      .toSorted((a, b) => b.active_at.localeCompare(a.active_at))
      .flatMap((group) => {
        const own = old.members.find((one) => one.group_id === group.id && one.user_id === userId);
        if (!own) return [];
        const readSeq = readSeqOf(own);
        const visible = messagesOf(group.id);
        return [
          {
            id: group.id,
            name: group.name,
            position: { epoch: group.epoch, seq: group.seq },
            memberCount: old.members.filter((one) => one.group_id === group.id).length,
            readSeq,
            unreadCount: visible.filter(({ seq, sender_id }) => seq > readSeq && sender_id !== userId).length,
            last: visible.at(-1)?.seq ?? null,
          },
        ];
      });
  return { eventsOf, messagesOf, listOf };
}

/** The same database, which goes away in the migration's parts that the test names: before their commit, or after it. */
function diesIn(db: Database, part: number, when: 'before' | 'after'): Database {
  let parts = 0;
  return {
    ...db,
    async transaction(work, options) {
      let isIt = false;
      const result = await db.transaction(async (tx) => {
        const answer = await work({
          query: async (text, params) => {
            if (text.includes('-- repeat')) parts += 1;
            isIt ||= text.includes('-- repeat') && parts === part;
            return tx.query(text, params);
          },
        });
        if (isIt && when === 'before') throw new Error('killed');
        return answer;
      }, options);
      if (isIt) throw new Error('killed');
      return result;
    },
  };
}

/** Moves a database of the released version to the newest schema. */
export function describeMigration(backend: string, open: () => Promise<Database>): void {
  describe(`migration on ${backend}`, () => {
    const old = createHistory();
    const was = expected(old);
    const silent = { wake: () => undefined, whenDispatched: async () => true };
    let db: Database;
    let deps: ReturnType<typeof groupDeps>;

    beforeAll(async () => {
      db = await open();
      deps = groupDeps(db, silent);
      await migrateToReleased(db);
      await old.write(db);
    });
    afterAll(async () => {
      await db.close();
    });

    const count = async (table: string): Promise<number> =>
      (await db.query<{ n: number }>(`select count(*)::int as n from ${table}`)).rows[0]?.n ?? 0;

    /** The released version, which may still be running, can do nothing, and nothing of it stays. */
    async function expectReleasedToFail(): Promise<void> {
      const rows = async () => [await count('groups'), await count('group_members'), await count('messages')];
      const before = await rows();
      for (const work of Object.values(RELEASED_STATEMENTS)) {
        await expect(work(db, 'z', 'carol')).rejects.toThrow(/violates not-null constraint|does not exist/);
      }
      expect(await rows()).toEqual(before);
    }

    test('one that is killed between two parts, and in the middle of one, goes on where it was', async () => {
      await expect(migrate(diesIn(db, 1, 'after'))).rejects.toThrow('killed');
      const copied = await count('messages');
      expect(copied).toBe(10_000);
      await expectReleasedToFail();
      await expect(migrate(diesIn(db, 1, 'before'))).rejects.toThrow('killed');
      expect(await count('messages')).toBe(copied);
      // A dispatcher of the released version finds nothing to send, and its cursor is not ours any more.
      expect(await count('events')).toBe(0);
      await db.query(RELEASED_SETTLE, ['stuck', old.groups.get('stuck')?.seq]);
      const progress: number[] = [];
      await migrate(db, (_name, rows) => progress.push(rows));
      expect(progress).toEqual([old.messages.length - copied]);
      expect(await count('messages')).toBe(old.messages.length);
      await expect(migrate(db)).resolves.toEqual([]);
    });

    test('afterwards the released version can do nothing, and nothing of it stays', expectReleasedToFail);

    test.each(USERS)('the list of groups of %s, and their unread counts, are what they were', async (userId) => {
      const { groups } = await listGroupsOf(db, { userId, limit: 100 });
      const shown = groups.map(({ id, name, position, memberCount, readSeq, unreadCount, lastMessage }) => {
        return { id, name, position, memberCount, readSeq, unreadCount, last: lastMessage?.seq ?? null };
      });
      expect(shown).toEqual(was.listOf(userId));
      const named = await groupIdsOf(db, userId, { ids: 1_000, bytes: 60_000 });
      expect(named.toSorted()).toEqual(
        was
          .listOf(userId)
          .map(({ id }) => id)
          .toSorted(),
      );
    });

    test('each message, each event and each member is where it was', async () => {
      for (const group of old.groups.values()) {
        const { id: groupId, epoch, seq: head, dispatched_seq: dispatched } = group;
        const events = was.eventsOf(group);
        const [accepted] = await readAccepted(db, [groupId], 100);
        if (group.deleted_at) {
          expect(accepted).toEqual({ groupId, position: null, events: [] });
          continue;
        }
        const sent = events.filter(({ seq }) => seq <= dispatched).slice(-100);
        expect(accepted).toEqual({ groupId, position: { epoch, seq: dispatched }, events: sent });
        const as = { groupId, userId: 'alice' };
        const read: GroupEvent[] = [];
        for (let after = groupId === 'empty' ? head : 0, more = true; more; after = read.at(-1)?.seq ?? head) {
          const page = await listEvents(deps, { ...as, after, limit: 500 });
          read.push(...page.events);
          ({ more } = page);
        }
        expect(read).toEqual(events);
        const { messages } = await listMessages(deps, { ...as, limit: 100 });
        expect(messages.map(({ seq, content }) => ({ seq, content }))).toEqual(
          was
            .messagesOf(groupId)
            .slice(-100)
            .map(({ seq, content }) => ({ seq, content })),
        );
        const { members, memberCount } = await getGroup(deps, as);
        const joined = old.members.filter(({ group_id }) => group_id === groupId);
        expect(members.map(({ userId, role }) => [userId, role])).toEqual(
          joined.map(({ user_id, role }) => [user_id, role]),
        );
        expect(memberCount).toBe(joined.length);
      }
    });

    test('cursors of members are where they were', async () => {
      const { rows } = await db.query(
        'select group_id, user_id, read_seq, received_seq, applied_seq from group_members order by group_id, user_id',
      );
      const order = (a: { group_id: string; user_id: string }, b: { group_id: string; user_id: string }) =>
        `${a.group_id} ${a.user_id}` < `${b.group_id} ${b.user_id}` ? -1 : 1;
      expect((rows as unknown as OldMember[]).toSorted(order)).toEqual(
        old.members
          .map(({ group_id, user_id, read_seq, received_seq, applied_seq }) => {
            return { group_id, user_id, read_seq, received_seq, applied_seq };
          })
          .toSorted(order),
      );
    });

    test('messages are numbered without a hole', async () => {
      const { rows } = await db.query(
        `select group_id from (
           select group_id, ordinal, row_number() over (partition by group_id order by seq) as nth from messages
         ) numbered where ordinal <> nth`,
      );
      expect(rows).toEqual([]);
    });

    test('events that were not dispatched are, in order, and new messages take the next positions', async () => {
      const relay = createRelayStub();
      for (const { id, epoch, dispatched_seq: seq } of old.groups.values()) relay.heads.set(id, { epoch, seq });
      const store = createOutboxStore(db, { owner: 'new', leaseMs: 1_000 });
      const metrics = createApiMetrics(() => store.backlog());
      const behind = [...old.groups.values()].filter(({ seq, dispatched_seq }) => seq > dispatched_seq);
      expect(await store.backlog()).toMatchObject({
        groups: behind.length,
        events: behind.reduce((sum, { seq, dispatched_seq }) => sum + seq - dispatched_seq, 0),
      });
      const dispatcher = createDispatcher(
        { store, relay: createRelayClient(relay.broadcaster, { maxPayloadBytes: 65_536 }), metrics, log },
        { leaseMs: 1_000, pollMs: 20, writeMs: 20, concurrency: 4 },
      );
      await dispatcher.start();
      for (const { id: groupId, deleted_at, seq } of old.groups.values()) {
        const sent = sendMessage({ ...deps, dispatcher }, { groupId, userId: 'alice', content: 'new' });
        if (deleted_at) await expect(sent).rejects.toMatchObject({ code: 'NOT_FOUND' });
        else expect(await sent).toMatchObject({ seq: seq + 1 });
      }
      const isQuiet = async () => (await count('backlog')) === 0;
      await until('everything to be dispatched', isQuiet);
      await dispatcher.stop();
      for (const { id, epoch, deleted_at, seq } of old.groups.values()) {
        expect(relay.heads.get(id)).toEqual({ epoch, seq: deleted_at ? seq : seq + 1 });
      }
      const { rows } = await db.query(`select group_id from outbox o where lease_token < 41 and group_id = 'a'`);
      expect(rows).toEqual([]);
    });

    test('a message that was sent before is known by its client id', async () => {
      const again = { groupId: 'a', userId: 'alice', content: 'again', clientMessageId: 'k' };
      expect(await sendMessage(deps, again)).toMatchObject({ seq: 2, content: 'one, edited' });
    });
  });
}
