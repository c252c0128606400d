import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { GroupcastError, generationOf } from '@groupcast/shared';
import { hear, type PostgresServer, startPostgres, until } from '@groupcast/testing';
import { pino } from 'pino';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { Database } from '../src/db/database.ts';
import { openEmbeddedDatabase } from '../src/db/embedded-database.ts';
import { migrate } from '../src/db/migrate.ts';
import { openPostgresDatabase } from '../src/db/postgres-database.ts';
import { createEventWriter, lockGroup } from '../src/events/event-store.ts';
import { headOf } from '../src/events/history-rows.ts';
import { readEvents } from '../src/events/history-store.ts';
import type { GroupDeps } from '../src/groups/group-changes.ts';
import { createGroup, deleteGroup } from '../src/groups/group-service.ts';
import { addMembers, removeMember } from '../src/groups/member-service.ts';
import { listMessages, type MessageDeps, sendMessage } from '../src/messages/message-service.ts';
import { saveMessages } from '../src/messages/message-store.ts';
import { createApiMetrics } from '../src/metrics.ts';
import { createDispatcher, type Dispatcher } from '../src/outbox/dispatcher.ts';
import { createOutboxStore, type Lease, type OutboxStore } from '../src/outbox/outbox-store.ts';
import { createRelayClient, type RelayClient } from '../src/outbox/relay-client.ts';
import { createWakeUps } from '../src/outbox/wake-up.ts';
import { groupDeps } from './group-deps.ts';
import { createRelayStub } from './relay-stub.ts';

const log = pino({ level: 'silent' });
const LEASE_MS = 400;

/** For a lock, in PostgreSQL. */
async function isAnybodyWaiting(db: Database): Promise<boolean> {
  const { rows } = await db.query(
    `select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`,
  );
  return rows.length > 0;
}

function describeOutbox(backend: string, open: () => Promise<Database>): void {
  describe(`outbox on ${backend}`, () => {
    let db: Database;
    let relay: ReturnType<typeof createRelayStub>;
    let store: OutboxStore;
    let metrics: ReturnType<typeof createApiMetrics>;
    let dispatcher: Dispatcher;
    let deps: GroupDeps & MessageDeps & { dispatcher: Dispatcher };
    let groupId: string;

    function start(owner: string, stub = relay): Dispatcher {
      const own = createOutboxStore(db, { owner, leaseMs: LEASE_MS });
      const parts = {
        store: own,
        relay: createRelayClient(stub.broadcaster, { maxPayloadBytes: 65_536 }),
        metrics,
        log,
      };
      const started = createDispatcher(parts, { leaseMs: LEASE_MS, pollMs: 50, writeMs: 50, concurrency: 4 });
      void started.start();
      return started;
    }

    beforeAll(async () => {
      db = await open();
      await migrate(db);
    });
    afterAll(async () => {
      await db.close();
    });
    beforeEach(async () => {
      relay = createRelayStub();
      store = createOutboxStore(db, { owner: 'test', leaseMs: LEASE_MS });
      metrics = createApiMetrics(() => store.backlog());
      dispatcher = start('one');
      deps = groupDeps(db, dispatcher);
      ({
        group: { id: groupId },
      } = await createGroup(deps, { userId: 'alice', kind: 'group', memberIds: ['bob'] }));
      await idle();
    });
    afterEach(async () => {
      relay.failWhen(undefined);
      await idle();
      await dispatcher.stop();
    });

    const say = async (content: string) => sendMessage(deps, { groupId, userId: 'alice', content });
    const claim = async () => {
      const claimed = await store.claim(groupId, 10);
      return claimed.kind === 'claimed' ? claimed.lease : undefined;
    };
    const settle = async (lease: Lease, dispatchedSeq: number) =>
      (await store.settle([{ lease: { ...lease, dispatchedSeq }, closes: true }]))[0];
    const idle = async () => until('an empty backlog', async () => (await store.backlog()).events === 0);
    const position = async () => {
      const { rows } = await db.query<{ epoch: string; seq: number; dispatched_seq: number }>(
        `select g.epoch, ${headOf('g')} as seq, o.dispatched_seq from groups g join outbox o on o.group_id = g.id
         where g.id = $1`,
        [groupId],
      );
      return rows[0];
    };

    test.each([
      ['', false],
      [', also where it may be a copy', true],
    ])(
      'a message that is traced keeps its span through the outbox, for an hour, and others write nothing%s',
      async (_, pairsCopies) => {
        const span = (digit: string) => `00-${'1'.repeat(32)}-${digit.repeat(16)}-01`;
        const save = async (...traceparents: (string | undefined)[]) => {
          const messages = traceparents.map((traceparent) => {
            const id = randomUUID();
            return {
              id,
              groupId,
              senderId: 'alice',
              content: id,
              clientMessageId: id,
              way: 'http' as const,
              traceparent,
            };
          });
          return saveMessages(db, messages, { waits: true, pairsCopies });
        };
        const kept = async () =>
          (await db.query('select traceparent from traceparents where group_id = $1 order by seq', [groupId])).rows;
        await dispatcher.stop();
        await save(undefined, undefined);
        expect(await kept()).toEqual([]);
        await save(span('a'), undefined, span('b'));
        const spans = [undefined, undefined, span('a'), undefined, span('b')];
        const traced = createOutboxStore(db, { owner: 'traced', leaseMs: LEASE_MS, isTraced: true });
        const claimed = await until('the group', async () => {
          const answer = await traced.claim(groupId, 10);
          return answer.kind === 'claimed' ? answer : undefined;
        });
        const read = await traced.read(claimed.lease, 10);
        const found = [claimed.events, read].map((events) => events.map(({ traceparent }) => traceparent));
        expect(found.map((each) => each.slice(-5))).toEqual([spans, spans]);
        expect((await store.read(claimed.lease, 10)).map(({ traceparent }) => traceparent)).not.toContain(span('a'));

        await db.query(`update traceparents set created_at = now() - interval '61 minutes' where group_id = $1`, [
          groupId,
        ]);
        await save(span('c'));
        expect(await kept()).toEqual([{ traceparent: span('c') }]);
        dispatcher = start('another');
      },
    );

    test('a sender’s profile for which an event has no room is left out, and comes with the next one', async () => {
      await db.query(
        `insert into users (id, name, custom) values ('alice', 'Alice', $1) on conflict (id) do update set custom = $1`,
        [JSON.stringify({ about: 'x'.repeat(4_000) })],
      );
      const sent: unknown[] = [];
      relay.failWhen(({ message }) => {
        sent.push(message['sender']);
        return Buffer.byteLength(JSON.stringify(message)) > 65_536
          ? new GroupcastError('PAYLOAD_TOO_LARGE', 'too large')
          : undefined;
      });
      const { sender } = await say('x'.repeat(65_000));
      await say('small');
      await idle();
      expect(sent).toEqual([{ userId: 'alice' }, sender]);
      expect(sender).toEqual({ userId: 'alice', name: 'Alice', custom: { about: 'x'.repeat(4_000) } });
      await db.query(`delete from users where id = 'alice'`);
    });

    test('membership changes stand in the order of the events: in before, out after', async () => {
      const release = relay.holdAnswers();
      await say('one');
      const added = addMembers(deps, { groupId, userId: 'alice', userIds: ['carol'] });
      await until('the addition to be saved', async () => (await position())?.seq === 3);
      await say('two');
      const removed = removeMember(deps, { groupId, userId: 'alice', memberId: 'bob' });
      await until('the removal to be saved', async () => (await position())?.seq === 5);
      await say('three');
      release();
      expect((await added).applied && (await removed).applied).toBe(true);
      await idle();
      expect(relay.calls).toEqual([
        'add alice,bob',
        'group-created 1',
        'new-message 2',
        'add carol',
        'member-added 3',
        'new-message 4',
        'member-removed 5',
        'remove bob',
        'new-message 6',
      ]);
    });

    test('the end of a group is one change, which names none of its members', async () => {
      await deleteGroup(deps, { userId: 'alice', groupId });
      await idle();
      expect(relay.calls.slice(2)).toEqual(['group-deleted 2', 'remove everyone']);
    });

    test('… and a relay of the previous version is told their names', async () => {
      relay.knowNamesOnly();
      await deleteGroup(deps, { userId: 'alice', groupId });
      await idle();
      expect(relay.calls.slice(2)).toEqual(['group-deleted 2', 'remove alice,bob']);
    });

    test('an event that follows a removal is not sent before the removal is done (G8)', async () => {
      const { removeMembers } = relay.broadcaster;
      let failures = 3;
      relay.broadcaster.removeMembers = async (input) => {
        failures -= 1;
        if (failures >= 0) throw new GroupcastError('RELAY_UNAVAILABLE', 'away');
        return removeMembers(input);
      };
      await removeMember(deps, { groupId, userId: 'alice', memberId: 'bob' });
      await say('after');
      await idle();
      expect(relay.calls.slice(2)).toEqual(['member-removed 2', 'remove bob', 'new-message 3']);
      expect(failures).toBe(-1);
    });

    test('a change that live connections cannot follow in time is answered with applied: false, and follows later', async () => {
      relay.failWhen(() => new GroupcastError('RELAY_UNAVAILABLE', 'away'));
      const { applied } = await addMembers(deps, { groupId, userId: 'alice', userIds: ['carol'] });
      expect(applied).toBe(false);
      relay.failWhen(undefined);
      await idle();
      expect(relay.calls.at(-1)).toBe('member-added 2');
    });

    test('events that cannot be sent now are tried again, in order, and counted as a backlog until then', async () => {
      let away = true;
      relay.failWhen(() => (away ? new GroupcastError('BROKER_UNAVAILABLE', 'no redis') : undefined));
      for (const content of ['one', 'two', 'three']) await say(content);
      await until('three attempts', async () =>
        (await metrics.registry.metrics()).match(/dispatch_failures_total\{code="BROKER_UNAVAILABLE"\} [3-9]/),
      );
      expect(await store.backlog()).toMatchObject({ groups: 1, events: 3 });
      expect(await metrics.registry.metrics()).toContain('groupcast_api_outbox_backlog_events 3');
      away = false;
      await idle();
      expect(relay.calls.slice(2)).toEqual(['new-message 2', 'new-message 3', 'new-message 4']);
      // How late they were is known of each of them.
      const { values } = await metrics.outboxLag.get();
      const of = (part: string) => values.find(({ metricName }) => metricName?.endsWith(part))?.value;
      expect(of('_count')).toBe(3);
      expect(of('_sum')).toBeGreaterThan(0);
    });

    test.each([1, 2])('a relay that says when it will take %i events is asked again then', async (count) => {
      // Doubled from one to the next, the pauses between ten refusals would last half a minute.
      let refusals = 10 * count;
      relay.failWhen(() => {
        refusals -= 1;
        return refusals >= 0 ? new GroupcastError('RATE_LIMITED', 'behind', { retryAfterMs: 20 }) : undefined;
      });
      const release = relay.holdAnswers();
      for (let n = 0; n < count; n += 1) await say('hello');
      release();
      await idle();
      expect(refusals).toBeLessThan(0);
    });

    test('a restored database, whose relay knows later events, opens a higher generation and goes on (G6)', async () => {
      const epoch = (await position())?.epoch ?? '';
      relay.heads.set(groupId, { epoch, seq: 100 });
      const message = await say('after the restore');
      await idle();
      const after = await position();
      expect(generationOf(after?.epoch ?? '')).toBe(2);
      // Events that go out again say nothing of how late new ones are.
      expect(await metrics.registry.metrics()).toContain('groupcast_api_outbox_lag_seconds_count 0');
      expect(relay.heads.get(groupId)).toEqual({ epoch: after?.epoch, seq: message.seq });
      await say('and on');
      await idle();
      expect(relay.calls.slice(2)).toEqual(['new-message 2', 'new-message 3']);
    });

    test('… also when it knows enough later events to take the new messages for duplicates', async () => {
      const epoch = (await position())?.epoch ?? '';
      relay.heads.set(groupId, { epoch, seq: 5_000 });
      relay.forgetBelow(4_000);
      const message = await say('after a restore from long ago');
      await idle();
      expect(relay.calls.slice(2)).toEqual(['new-message 2']);
      expect(relay.heads.get(groupId)).toEqual({ epoch: expect.stringMatching(/^2-/), seq: message.seq });
    });

    test('a relay that lost the end of its log gets it again', async () => {
      const first = await say('one');
      await say('two');
      await say('three');
      await idle();
      // As after a failover that lost acknowledged writes.
      relay.heads.set(groupId, { epoch: first.epoch, seq: first.seq });
      await say('four');
      await idle();
      expect(relay.heads.get(groupId)?.seq).toBe(5);
    });

    test('a relay whose log ends before the history that is kept gets what there is, in a higher generation', async () => {
      const first = await say('one');
      await say('two');
      await say('three');
      await idle();
      relay.heads.set(groupId, { epoch: first.epoch, seq: first.seq });
      await db.query('delete from messages where group_id = $1 and seq <= 3', [groupId]);
      await db.query('update groups set floor_seq = 3, floor_ordinal = 2 where id = $1', [groupId]);
      const { seq } = await say('four');
      await idle();
      expect(relay.heads.get(groupId)).toEqual({ epoch: expect.stringMatching(/^2-/), seq });
      expect(relay.calls.slice(-2)).toEqual(['new-message 4', 'new-message 5']);
    });

    test('an event that is refused for good is omitted, in its place, and the group goes on (G7)', async () => {
      relay.failWhen(({ event, seq }) =>
        event === 'new-message' && seq === 2 ? new GroupcastError('PAYLOAD_TOO_LARGE', 'too large') : undefined,
      );
      await say('poison');
      await say('fine');
      await idle();
      expect(relay.calls.slice(2)).toEqual(['event-omitted 2', 'new-message 3']);
      expect(await metrics.registry.metrics()).toContain('groupcast_api_events_omitted_total 1');
      // The history has the reason in its place, and the message is still among the messages.
      expect(await readEvents(db, groupId, '1-a', 1, 1)).toMatchObject([
        { event: 'event-omitted', seq: 2, code: 'PAYLOAD_TOO_LARGE' },
      ]);
      const { messages } = await listMessages(deps, { groupId, userId: 'alice', limit: 10 });
      expect(messages.map(({ content }) => content)).toEqual(['poison', 'fine']);
    });

    test('a wrong secret loses nothing: the event waits', async () => {
      let wrong = true;
      relay.failWhen(() => (wrong ? new GroupcastError('FORBIDDEN', 'no scope') : undefined));
      await say('waits');
      await until('a failure', async () => (await metrics.registry.metrics()).includes('code="FORBIDDEN"'));
      wrong = false;
      await idle();
      expect(relay.calls.at(-1)).toBe('new-message 2');
    });

    test('groups do not wait for one another', async () => {
      const other = (await createGroup(deps, { userId: 'alice', kind: 'group', memberIds: [] })).group.id;
      await idle();
      relay.failWhen(({ groupId: id }) =>
        id === groupId ? new GroupcastError('RELAY_UNAVAILABLE', 'away') : undefined,
      );
      await say('stuck');
      const { seq } = await sendMessage(deps, { groupId: other, userId: 'alice', content: 'free' });
      expect(await dispatcher.whenDispatched(other, seq, 5_000)).toBe(true);
      expect((await position())?.dispatched_seq).toBe(1);
    });

    test('a lease keeps others out until it runs out, and an older token moves nothing (G5)', async () => {
      await dispatcher.stop();
      await say('one');
      const frozen = await claim();
      expect(frozen).toMatchObject({ dispatchedSeq: 1 });
      expect(await claim()).toBeUndefined();
      const taken = await until('the lease to run out', claim);
      expect(taken.token).toBe((frozen?.token ?? 0) + 1);
      if (!frozen) throw new Error('unreachable');
      expect(await settle(frozen, 2)).toBe('lost');
      expect(await store.renew(frozen)).toBe(false);
      expect(await store.changeEpoch(frozen, '9-stale')).toBe(false);
      expect(await store.rewind(frozen, 0)).toBe(false);
      expect((await position())?.dispatched_seq).toBe(1);
      expect(await settle(taken, 2)).toBe('released');
      dispatcher = start('one again');
    });

    test('a clock of the database that was set back holds no group for as long', async () => {
      await dispatcher.stop();
      await say('one');
      await db.query(
        `update outbox set lease_until = now() + interval '1 hour', retry_at = now() + interval '1 hour' where group_id = $1`,
        [groupId],
      );
      expect(await store.findBacklog(10)).toContain(groupId);
      expect(await claim()).toMatchObject({ groupId });
      dispatcher = start('two');
    });

    test('giving a lease back and seeing that nothing is left is one step', async () => {
      await dispatcher.stop();
      await say('one');
      const lease = await claim();
      if (!lease) throw new Error('unreachable');
      await say('two, saved while one was on its way');
      expect(await settle(lease, 2)).toBe('more');
      expect(await settle(lease, 3)).toBe('released');
      dispatcher = start('one again');
    });

    test('a message writes no row that another message has written (G62)', async () => {
      await dispatcher.stop();
      await say('first words');
      /** Every version of every row that is there, and of the messages those of before. */
      const versions = async () => {
        const tables = ['users', 'groups', 'group_members', 'outbox', 'backlog', 'events', 'messages where seq <= 2'];
        const selects = tables.map(
          (table) =>
            `select '${table}' as place, ctid::text as at, xmin::text as made, xmax::text as changed from ${table}`,
        );
        return (await db.query(`${selects.join(' union all ')} order by 1, 2`)).rows;
      };
      const before = await versions();
      expect(before.length).toBeGreaterThan(5);
      await Promise.all(Array.from({ length: 20 }, async (_, n) => say(`m${n}`)));
      expect(await versions()).toEqual(before);
      dispatcher = start('one again');
    });

    test('two dispatchers share the work without a duplicate or a change of order (G2)', async () => {
      const second = start('two');
      await Promise.all(
        Array.from({ length: 40 }, async (_, n) => {
          await say(`m${n}`);
          second.wake(groupId);
        }),
      );
      await idle();
      await second.stop();
      expect(relay.calls.slice(2)).toEqual(Array.from({ length: 40 }, (_, n) => `new-message ${n + 2}`));
    });

    test('many slow calls in one group outlive no lease: every one is settled, by two dispatchers too', async () => {
      const { addMembers: add } = relay.broadcaster;
      relay.broadcaster.addMembers = async (input) => {
        await new Promise((resolve) => setTimeout(resolve, 40));
        return add(input);
      };
      const second = start('two');
      for (let n = 0; n < 30; n += 1) {
        await db.transaction(async (tx) => {
          await lockGroup(tx, groupId);
          const event = { id: `add-${n}`, type: 'member-added', payload: {}, effect: { add: [`u${n}`] } };
          await createEventWriter(65_536).append(tx, groupId, event);
        });
      }
      dispatcher.wake(groupId);
      second.wake(groupId);
      await idle();
      await second.stop();
      expect(relay.calls.filter((call) => call.startsWith('member-added'))).toHaveLength(30);
    });

    test('stopping settles what is under way', async () => {
      const release = relay.holdAnswers();
      await say('on its way');
      await until(
        'the claim',
        async () =>
          (await db.query('select 1 from outbox where group_id = $1 and lease_until is not null', [groupId])).rows
            .length,
      );
      const stopped = dispatcher.stop();
      release();
      await stopped;
      expect((await position())?.dispatched_seq).toBe(2);
      dispatcher = start('next');
    });
  });
}

let postgres: PostgresServer;
let folder: string;
beforeAll(async () => {
  postgres = await startPostgres();
  folder = mkdtempSync(join(tmpdir(), 'groupcast-outbox-'));
});
afterAll(async () => {
  await postgres.stop();
  rmSync(folder, { recursive: true, force: true });
});

describeOutbox('the embedded database', async () => openEmbeddedDatabase(folder));
describeOutbox('PostgreSQL', async () => openPostgresDatabase(await postgres.createDatabase(), log));

describe('on PostgreSQL', () => {
  test('a process without a relay wakes those that have one, by NOTIFY', async () => {
    const url = await postgres.createDatabase();
    const [here, there] = [openPostgresDatabase(url, log), openPostgresDatabase(url, log)];
    const woken: unknown[] = [];
    const stopListening = await createWakeUps({ db: there, log }).receive((groupId) => void woken.push(groupId));
    const processWith = (relay: RelayClient) => {
      const store = createOutboxStore(here, { owner: 'test', leaseMs: LEASE_MS });
      const deps = {
        store,
        relay,
        wakeUps: createWakeUps({ db: here, log }),
        metrics: createApiMetrics(() => store.backlog()),
        log,
      };
      return createDispatcher(deps, { leaseMs: LEASE_MS, pollMs: 60_000, writeMs: 1_000, concurrency: 4 });
    };
    await migrate(here);
    const send = async () => ({ acceptedSeq: 0 });
    const [connected, alone] = [processWith({ connected: true, send }), processWith({ connected: false, send })];
    // One with a relay tells nobody: it does the work itself.
    connected.wake('g0');
    alone.wake('g1');
    await until('the word to arrive', () => woken.includes('g1'));
    // It was told to look around when it began to listen.
    expect(woken).toEqual([undefined, 'g1']);
    for (const dispatcher of [connected, alone]) await dispatcher.stop();
    await stopListening();
    for (const db of [here, there]) await db.close();
  });

  test('a server that drops every connection in the middle of transactions ends no process', async () => {
    const url = await postgres.createDatabase();
    const db = openPostgresDatabase(url, log);
    const killer = openPostgresDatabase(url, log);
    const results = await Promise.allSettled(
      Array.from({ length: 8 }, async () =>
        db.transaction(async (tx) => {
          await tx.query('select 1');
          await until('the server to drop it', async () => {
            await killer.query(
              `select pg_terminate_backend(pid) from pg_stat_activity
               where datname = current_database() and pid <> pg_backend_pid() and state = 'idle in transaction'`,
            );
            return tx.query('select 1').then(
              () => false,
              () => true,
            );
          });
          return tx.query('select 1');
        }),
      ),
    );
    for (const result of results) {
      expect(result).toMatchObject({ status: 'rejected', reason: { code: 'API_UNAVAILABLE', retryable: true } });
    }
    expect((await db.query<{ one: number }>('select 1 as one')).rows).toEqual([{ one: 1 }]);
    await db.close();
    await killer.close();
  });

  test('a group in which an event is being saved is not given back, and the event is read once it is committed', async () => {
    const db = openPostgresDatabase(await postgres.createDatabase(), log);
    await migrate(db);
    const store = createOutboxStore(db, { owner: 'test', leaseMs: LEASE_MS });
    const dispatcher = { wake: () => undefined, whenDispatched: async () => true };
    const deps = groupDeps(db, dispatcher);
    const { group } = await createGroup(deps, { userId: 'alice', kind: 'group', memberIds: [] });
    const lease = await db.transaction(async (tx) => {
      await lockGroup(tx, group.id);
      await deps.events.append(tx, group.id, { id: 'late', type: 'group-updated', payload: {} });
      const claim = await store.claim(group.id, 10);
      if (claim.kind !== 'claimed') throw new Error('unreachable');
      expect(claim.events.map(({ seq }) => seq)).toEqual([1]);
      const sent = { ...claim.lease, dispatchedSeq: 1 };
      expect(await store.settle([{ lease: sent, closes: true }])).toEqual(['more']);
      return sent;
    });
    expect(await store.read(lease, 10)).toMatchObject([{ seq: 2, id: 'late' }]);
    await db.close();
  });

  test('a message that waited for the removal of its sender is not saved, and takes no place', async () => {
    const db = openPostgresDatabase(await postgres.createDatabase(), log);
    await migrate(db);
    const dispatcher = { wake: () => undefined, whenDispatched: async () => true };
    const deps = groupDeps(db, dispatcher);
    const { group } = await createGroup(deps, { userId: 'alice', kind: 'group', memberIds: ['bob'] });
    const from = (userId: string) => sendMessage(deps, { groupId: group.id, userId, content: 'hello' });
    const late = await db.transaction(async (tx) => {
      await lockGroup(tx, group.id);
      await tx.query('delete from group_members where group_id = $1 and user_id = $2', [group.id, 'bob']);
      const sent = Promise.allSettled([from('bob')]);
      await until('the message to wait', async () => isAnybodyWaiting(db));
      return { sent };
    });
    expect(await late.sent).toMatchObject([{ status: 'rejected', reason: { code: 'NOT_FOUND' } }]);
    expect(await from('alice')).toMatchObject({ seq: 2 });
    await db.close();
  });

  test('listening goes on after the connection was lost', async () => {
    const url = await postgres.createDatabase();
    const db = openPostgresDatabase(url, log);
    const heard = await hear(db, 'test_channel');
    await db.query(
      `select pg_terminate_backend(pid) from pg_stat_activity where query like 'listen %' and datname = current_database()`,
    );
    await until('listening again', () => heard.resets() === 2);
    await db.notify('test_channel', ['still here']);
    await until('the word', () => heard.payloads.includes('still here'));
    await heard.stop();
    await db.close();
  });

  test('migrations run once when several processes start at the same time; a changed file is refused', async () => {
    const url = await postgres.createDatabase();
    const databases = [1, 2, 3].map(() => openPostgresDatabase(url, log));
    const applied = await Promise.all(databases.map(async (db) => migrate(db)));
    expect(applied.flat().toSorted()).toEqual([
      '0001_groups_messages_outbox.sql',
      '0002_member_cursors.sql',
      '0003_invitations_and_limits.sql',
      '0004_append_only.sql',
      '0005_copy_messages.sql',
      '0006_drop_copied.sql',
      '0007_retention.sql',
      '0008_group_custom.sql',
      '0009_profiles.sql',
      '0010_message_kind_and_custom.sql',
      '0011_message_copies.sql',
      '0012_tracing.sql',
      '0013_traceparents.sql',
      '0014_members_by_user.sql',
    ]);
    await databases[0]?.query(`update schema_migrations set sha256 = 'other'`);
    await expect(migrate(databases[0] as Database)).rejects.toThrow(/has changed since it was applied/);
    for (const db of databases) await db.close();
  });
});

describe('the embedded database', () => {
  test('is opened by one process at a time, and a lock left by a dead one is taken over', async () => {
    const dataDir = mkdtempSync(join(tmpdir(), 'groupcast-lock-'));
    const db = await openEmbeddedDatabase(dataDir);
    await expect(openEmbeddedDatabase(dataDir)).rejects.toThrow(/is in use by process \d+/);
    await db.close();
    writeFileSync(join(dataDir, 'database.lock'), '999999999 1');
    const again = await openEmbeddedDatabase(dataDir);
    await again.close();
    rmSync(dataDir, { recursive: true, force: true });
  });
});
