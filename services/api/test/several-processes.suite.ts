import type { Broadcaster } from '@groupcast/broadcaster';
import { generationOf, type Message } from '@groupcast/shared';
import { until } from '@groupcast/testing';
import { pino } from 'pino';
import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { Database } from '../src/db/database.ts';
import { migrate } from '../src/db/migrate.ts';
import { openPostgresDatabase } from '../src/db/postgres-database.ts';
import { lockGroup } from '../src/events/event-store.ts';
import { createGroup } from '../src/groups/group-service.ts';
import { addMembers, removeMember } from '../src/groups/member-service.ts';
import { sendMessage } from '../src/messages/message-service.ts';
import { createSaveQueue } from '../src/messages/save-queue.ts';
import { createApiMetrics } from '../src/metrics.ts';
import { createDispatcher } from '../src/outbox/dispatcher.ts';
import { createOutboxStore } from '../src/outbox/outbox-store.ts';
import { createRelayClient } from '../src/outbox/relay-client.ts';
import { createWakeUps } from '../src/outbox/wake-up.ts';
import { expectRelayed } from './crash.suite.ts';
import { groupDeps } from './group-deps.ts';
import { createRelayStub } from './relay-stub.ts';

const log = pino({ level: 'silent' });
const TIMES = { leaseMs: 300, pollMs: 30, writeMs: 30, concurrency: 4 };

/** Lets everything through, until it is told to hold it. */
function createGate() {
  let open: Promise<void> | undefined;
  let release = (): void => undefined;
  return {
    pass: async (): Promise<void> => open,
    freeze() {
      open = new Promise((resolve) => {
        release = resolve;
      });
    },
    thaw() {
      open = undefined;
      release();
    },
  };
}

/** A process of the API, as far as it saves and dispatches, on a connection pool of its own. */
function startProcess(url: string, name: string, relay: Broadcaster) {
  const gate = createGate();
  const opened = openPostgresDatabase(url, log);
  const db: Database = {
    ...opened,
    async query(text, params) {
      await gate.pass();
      const answer = await opened.query(text, params);
      await gate.pass();
      return answer as never;
    },
  };
  const link = { isConnected: true };
  const broadcaster: Broadcaster = {
    ...relay,
    get connected() {
      return link.isConnected;
    },
    async broadcastMessage(input) {
      await gate.pass();
      return relay.broadcastMessage(input);
    },
    async broadcastBatch(items) {
      await gate.pass();
      return relay.broadcastBatch(items);
    },
  };
  const store = createOutboxStore(db, { owner: name, leaseMs: TIMES.leaseMs });
  const dispatcher = createDispatcher(
    {
      store,
      relay: createRelayClient(broadcaster, { maxPayloadBytes: 65_536 }),
      wakeUps: createWakeUps({ db, log }),
      metrics: createApiMetrics(() => store.backlog()),
      log,
    },
    TIMES,
  );
  return {
    gate,
    store,
    dispatcher,
    deps: groupDeps(db, dispatcher),
    start: async () => dispatcher.start(),
    disconnect() {
      link.isConnected = false;
      dispatcher.release();
    },
    connect() {
      link.isConnected = true;
      dispatcher.wake();
    },
    async stop() {
      await dispatcher.stop();
      await opened.close();
    },
  };
}

type Process = ReturnType<typeof startProcess>;

/** Cases in which several processes meet, on PostgreSQL. */
export function describeSeveralProcesses(createDatabase: () => Promise<string>): void {
  describe('several processes on one database', () => {
    let url: string;
    let relay: ReturnType<typeof createRelayStub>;
    let processes: Process[];
    let groupIds: string[];

    beforeAll(async () => {
      url = await createDatabase();
      const db = openPostgresDatabase(url, log);
      await migrate(db);
      await db.close();
    });
    beforeEach(() => {
      relay = createRelayStub();
      processes = [];
    });
    afterEach(async () => {
      for (const { gate, stop } of processes) {
        gate.thaw();
        await stop();
      }
    });

    async function start(count: number): Promise<Process[]> {
      processes = Array.from({ length: count }, (_, n) => startProcess(url, `process-${n}`, relay.broadcaster));
      for (const process of processes) await process.start();
      const [first] = processes as [Process];
      groupIds = [];
      for (let n = 0; n < 3; n += 1) {
        const { group } = await createGroup(first.deps, { userId: 'alice', kind: 'group', memberIds: ['bob'] });
        groupIds.push(group.id);
      }
      return processes;
    }

    /** Every process sends to every group at once, and somebody comes and goes meanwhile. */
    async function talk(by: readonly Process[], rounds: number): Promise<void> {
      for (let round = 0; round < rounds; round += 1) {
        const sent = by.flatMap(({ deps }, n) =>
          groupIds.flatMap((groupId) =>
            ['alice', 'bob', 'alice'].map(async (userId) =>
              sendMessage(deps, { groupId, userId, content: `${n} ${round}` }),
            ),
          ),
        );
        const [groupId = ''] = groupIds;
        const as = { userId: 'alice', groupId };
        const { deps } = by[round % by.length] as Process;
        await addMembers(deps, { ...as, userIds: ['carol'] });
        await removeMember(deps, { ...as, memberId: 'carol' });
        await Promise.all(sent);
      }
    }

    async function expectAllRelayed(): Promise<void> {
      const { deps } = processes[0] as Process;
      const ask = async (text: string) => (await deps.db.query(text, [groupIds])).rows;
      await until(
        'all groups to be given back',
        async () => (await ask('select 1 from backlog where group_id = any($1::text[])')).length === 0,
      );
      expect(await ask('select 1 from outbox where group_id = any($1::text[]) and lease_until is not null')).toEqual(
        [],
      );
      for (const groupId of groupIds) {
        await expectRelayed(deps.db, relay, groupId);
        expect(generationOf(relay.heads.get(groupId)?.epoch ?? '')).toBe(1);
      }
    }

    test.each([2, 3])(
      '%i of them save and dispatch at once: every event is relayed once, in order (G2, G3)',
      async (n) => {
        await talk(await start(n), 4);
        await expectAllRelayed();
      },
    );

    test('one that loses its relay gives its groups to the others, and takes part again when it is back', async () => {
      const [first, second] = (await start(2)) as [Process, Process];
      await talk([first], 1);
      first.disconnect();
      await talk([first], 2);
      second.disconnect();
      first.connect();
      await talk([first, second], 2);
      second.connect();
      await talk([first, second], 1);
      await expectAllRelayed();
    });

    test('messages that were saved without a relay are sent once there is one', async () => {
      const [first, second] = (await start(2)) as [Process, Process];
      first.disconnect();
      second.disconnect();
      const as = { userId: 'alice', groupId: groupIds[0] ?? '' };
      await sendMessage(first.deps, { ...as, content: 'hello' });
      await sendMessage(second.deps, { ...as, content: 'is anybody there' });
      second.connect();
      await expectAllRelayed();
    });

    test('connections that the server ends in the middle of the work lose nothing, and send nothing twice (G2, G3, G4)', async () => {
      const [first, second, third] = (await start(3)) as [Process, Process, Process];
      const killer = openPostgresDatabase(url, log);
      const kill = async () =>
        killer.query(
          `select pg_terminate_backend(pid) from pg_stat_activity
           where datname = current_database() and pid <> pg_backend_pid() and random() < 0.5`,
        );
      let isOver = false;
      const killing = (async () => {
        for (let kills = 0; !isOver || kills < 5; kills += 1) {
          // One goes after the other.
          await kill();
          // There is time for some work in between.
          await new Promise((resolve) => setTimeout(resolve, 60));
        }
      })();
      const messages = Array.from({ length: 60 }, (_, n) => ({
        groupId: groupIds[n % groupIds.length] ?? '',
        userId: n % 2 === 0 ? 'alice' : 'bob',
        content: `message ${n}`,
        clientMessageId: `key ${n}`,
      }));
      const ids = await Promise.all(
        messages.map(async (message, n) =>
          until('the message to be saved', async () => {
            const { deps } = [first, second, third][n % 3] as Process;
            return (await sendMessage(deps, message)).id;
          }),
        ),
      );
      isOver = true;
      await killing;
      expect(new Set(ids).size).toBe(messages.length);
      const { rows } = await killer.query('select 1 from messages where group_id = any($1::text[])', [groupIds]);
      expect(rows).toHaveLength(messages.length);
      await killer.close();
      await expectAllRelayed();
    });

    test('one that is frozen past its lease does nothing to what others have done meanwhile (G5)', async () => {
      const [first, second] = (await start(2)) as [Process, Process];
      await talk([first], 1);
      // It stops in the middle of its work: statements and calls that are under way are answered much later.
      const sent = talk([first], 1);
      first.gate.freeze();
      await until('another to hold all groups', async () => {
        for (const groupId of groupIds) await sendMessage(second.deps, { userId: 'bob', groupId, content: 'and on' });
        const { rows } = await second.deps.db.query(
          `select 1 from outbox where group_id = any($1::text[]) and lease_owner = 'process-1'`,
          [groupIds],
        );
        return rows.length === groupIds.length;
      });
      first.gate.thaw();
      await sent;
      await expectAllRelayed();
    });

    describe('messages of groups that are locked by others', () => {
      /** Holds the locks of groups until the returned function is called. */
      async function lock(db: Database, ids: readonly string[]): Promise<() => Promise<void>> {
        let release = (): void => undefined;
        const held = new Promise<void>((resolve) => {
          release = resolve;
        });
        let isLocked = 0;
        const transactions = ids.map(async (id) =>
          db.transaction(async (tx) => {
            await tx.query('set local idle_in_transaction_session_timeout = 0');
            await lockGroup(tx, id);
            isLocked += 1;
            await held;
          }),
        );
        await until('the locks', () => isLocked === ids.length);
        return async () => {
          release();
          await Promise.all(transactions);
        };
      }

      async function createGroups(deps: Process['deps'], count: number): Promise<string[]> {
        const ids: string[] = [];
        for (let n = 0; n < count; n += 1) {
          ids.push((await createGroup(deps, { userId: 'dave', kind: 'group', memberIds: [] })).group.id);
        }
        return ids;
      }

      test.each([1, 4, 5])('%i of them hold up no others, and are saved in their order afterwards', async (count) => {
        const [first, second] = (await start(2)) as [Process, Process];
        const [free = '', ...locked] = await createGroups(first.deps, count + 1);
        const unlock = await lock(second.deps.db, locked);
        const waiting: Promise<Message>[] = [];
        let isSaved = false;
        const say = async (groupId: string, content: string) =>
          sendMessage(first.deps, { groupId, userId: 'dave', content });
        for (const content of ['one', 'two', 'three']) {
          waiting.push(
            ...locked.map(async (groupId) => {
              const message = await say(groupId, content);
              isSaved = true;
              return message;
            }),
          );
        }
        for (let n = 0; n < 4; n += 1) expect(await say(free, `free ${n}`)).toMatchObject({ seq: n + 2 });
        await Promise.all(Array.from({ length: 4 }, async (_, n) => say(free, `at once ${n}`)));
        expect(isSaved).toBe(false);
        await unlock();
        const saved = await Promise.all(waiting);
        expect(saved.map(({ seq }) => seq)).toEqual([2, 3, 4].flatMap((seq) => locked.map(() => seq)));
      });

      test('those that wait too long are refused as retryable, and are not saved later', async () => {
        const [first, second] = (await start(2)) as [Process, Process];
        const locked = await createGroups(first.deps, 5);
        const unlock = await lock(second.deps.db, locked);
        const deps = { ...first.deps, saves: createSaveQueue({ db: first.deps.db }, { maxWaitMs: 50 }) };
        const outcomes = locked.map(async (groupId) =>
          sendMessage(deps, { groupId, userId: 'dave', content: 'hello' }).then(
            () => 'saved',
            (error: { code: string; retryable: boolean }) => `${error.code} ${error.retryable}`,
          ),
        );
        const refused = await Promise.race(outcomes);
        expect(refused).toBe('API_UNAVAILABLE true');
        await unlock();
        const all = await Promise.all(outcomes);
        const { rows } = await first.deps.db.query<{ group_id: string }>(
          'select group_id from messages where group_id = any($1::text[])',
          [locked],
        );
        const saved = locked.filter((_, index) => all[index] === 'saved');
        expect(rows.map(({ group_id }) => group_id).toSorted()).toEqual(saved.toSorted());
        expect(saved.length).toBeGreaterThanOrEqual(3);
      });

      test('messages that share a statement which ends a deadlock are saved all the same', async () => {
        const [first, second] = (await start(2)) as [Process, Process];
        const [before = '', ...both] = (await createGroups(first.deps, 3)).toSorted();
        const [one = '', two = ''] = both;
        const unlock = await lock(second.deps.db, [before]);
        // One statement at a time, so that the others share the next one.
        const saves = createSaveQueue({ db: { ...first.deps.db, kind: 'embedded' } });
        const say = async (groupId: string) =>
          sendMessage({ ...first.deps, saves }, { groupId, userId: 'dave', content: 'hello' });
        const earlier = say(before);
        const sent = Promise.all([say(one), say(two)]);
        const touch = `update group_members set received_seq = 1 where group_id = $1`;
        // Cursors that a relay stores meanwhile, in the other order.
        await second.deps.db.transaction(async (tx) => {
          await tx.query(touch, [two]);
          await unlock();
          await until('the messages to wait for it', async () => {
            const { rows } = await second.deps.db.query(
              `select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'
                 and wait_event <> 'advisory'`,
            );
            return rows.length > 0;
          });
          await tx.query(touch, [one]);
        });
        expect(await sent).toMatchObject([{ seq: 2 }, { seq: 2 }]);
        await earlier;
      });

      test('the same client id is one message, whichever process it comes to, at the same time (G4)', async () => {
        const [first, second] = (await start(2)) as [Process, Process];
        const [groupId = ''] = await createGroups(first.deps, 1);
        const unlock = await lock(second.deps.db, [groupId]);
        const sent = [first, second, first, second, first].map(async ({ deps }, n) =>
          sendMessage(deps, { groupId, userId: 'dave', content: `copy ${n}`, clientMessageId: 'k' }),
        );
        await unlock();
        const ids = new Set((await Promise.all(sent)).map(({ id }) => id));
        expect(ids.size).toBe(1);
        expect(await sendMessage(first.deps, { groupId, userId: 'dave', content: 'next' })).toMatchObject({ seq: 3 });
      });
    });
  });
}
