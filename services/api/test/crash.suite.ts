import { randomUUID } from 'node:crypto';
import { GroupcastError, generationOf } from '@groupcast/shared';
import { until } from '@groupcast/testing';
import { pino } from 'pino';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Database } from '../src/db/database.ts';
import { headOf } from '../src/events/history-rows.ts';
import { readEvents } from '../src/events/history-store.ts';
import { createGroup } from '../src/groups/group-service.ts';
import { addMembers, removeMember } from '../src/groups/member-service.ts';
import { deleteMessage, editMessage, listMessages, sendMessage } from '../src/messages/message-service.ts';
import { createApiMetrics } from '../src/metrics.ts';
import { createDispatcher, type Dispatcher } from '../src/outbox/dispatcher.ts';
import { createOutboxStore } from '../src/outbox/outbox-store.ts';
import { createRelayClient } from '../src/outbox/relay-client.ts';
import { createFaultyProcess, type Fault, type FaultyProcess } from './faulty-process.ts';
import { groupDeps } from './group-deps.ts';
import { createRelayStub } from './relay-stub.ts';

const log = pino({ level: 'silent' });
const TIMES = { leaseMs: 150, pollMs: 20, writeMs: 20, concurrency: 4 };
/** Runs at once: most of their time they wait for a lease. */
const AT_ONCE = 16;
/** A run takes a tenth of a second of a core that is free. */
const PATIENCE_MS = 120_000;

type Relay = ReturnType<typeof createRelayStub>;

/** Others in each group: how often one user may be added by another is bounded. */
const peopleOf = (groupId: string) => ({
  alice: `alice of ${groupId}`,
  bob: `bob of ${groupId}`,
  carol: `carol of ${groupId}`,
});

/** Expects that the events which the relay has accepted, in all epochs of the group, are the group's history: in order, each once in an epoch, without a hole. */
export async function expectRelayed(db: Database, relay: Relay, groupId: string): Promise<void> {
  const history = await readEvents(db, groupId, '1-a', 0, 1_000);
  const ids = new Map(history.map(({ seq, id }) => [seq, id]));
  const accepted = relay.logOf(groupId);
  for (const [index, { epoch, seq, id }] of accepted.entries()) {
    const before = accepted[index - 1];
    if (before && before.epoch === epoch) expect(seq).toBe(before.seq + 1);
    else if (before) expect(generationOf(epoch)).toBeGreaterThan(generationOf(before.epoch));
    expect(id).toBe(ids.get(seq));
  }
  expect([...new Set(accepted.map(({ seq }) => seq))].toSorted((a, b) => a - b)).toEqual(history.map(({ seq }) => seq));
  expect(accepted.at(-1)?.seq).toBe(history.at(-1)?.seq);
}

/** `every`: distance between two steps that go wrong, of which the first has the number `from`. */
export interface FaultyRuns {
  fault: Fault;
  from: number;
  every: number;
}

export function describeCrashes(backend: string, open: () => Promise<Database>, faults: readonly FaultyRuns[]): void {
  describe(`crashes on ${backend}`, () => {
    let db: Database;
    beforeAll(async () => {
      db = await open();
    });
    afterAll(async () => {
      await db.close();
    });

    /** Whether all that there is has been dispatched, and the group was given back. */
    async function isGivenBack(groupId: string): Promise<boolean> {
      const { rows } = await db.query(
        `select 1 from outbox o where group_id = $1 and lease_until is null
           and not exists (select 1 from backlog b where b.group_id = o.group_id)
           and dispatched_seq >= greatest((select max(seq) from messages m where m.group_id = o.group_id),
             (select max(seq) from events e where e.group_id = o.group_id))`,
        [groupId],
      );
      return rows.length > 0;
    }

    async function headOfGroup(groupId: string): Promise<number> {
      const { rows } = await db.query<{ seq: number }>(`select ${headOf('g')} as seq from groups g where id = $1`, [
        groupId,
      ]);
      return rows[0]?.seq ?? 0;
    }

    /** A process whose dispatcher looks after this group alone, so that runs do not disturb each other. */
    function startProcess(groupId: string, relay: Relay, faulty?: FaultyProcess) {
      const own = faulty ? faulty.database(db) : db;
      const broadcaster = faulty ? faulty.relay(relay.broadcaster) : relay.broadcaster;
      const store = createOutboxStore(own, { owner: randomUUID(), leaseMs: TIMES.leaseMs });
      const findBacklog = async (limit: number) => (await store.findBacklog(limit)).filter((id) => id === groupId);
      const dispatcher = createDispatcher(
        {
          store: { ...store, findBacklog },
          relay: createRelayClient(broadcaster, { maxPayloadBytes: 65_536 }),
          metrics: createApiMetrics(() => store.backlog()),
          log,
        },
        TIMES,
      );
      void dispatcher.start();
      const wake: Dispatcher['wake'] = (id, event) => dispatcher.wake(id, event);
      return { deps: groupDeps(own, { wake, whenDispatched: async () => true }), stop: async () => dispatcher.stop() };
    }

    /** Users, and what happens to the relay. A user tries again what has failed. */
    function createScenario(groupId: string, relay: Relay, people: ReturnType<typeof peopleOf>) {
      let isBusy = true;
      relay.failWhen(({ event, message }) => {
        const content = (message as { content?: string }).content;
        if (event !== 'new-message') return undefined;
        if (content === 'poison') return new GroupcastError('PAYLOAD_TOO_LARGE', 'too large');
        if (content !== 'later' || !isBusy) return undefined;
        isBusy = false;
        return new GroupcastError('RATE_LIMITED', 'behind', { retryAfterMs: 20 });
      });
      const as = { userId: people.alice, groupId };
      type Deps = ReturnType<typeof groupDeps>;
      const say = (content: string) => async (deps: Deps) => {
        await sendMessage(deps, { ...as, content, clientMessageId: content });
      };
      const idOf = async (content: string): Promise<string> => {
        const { rows } = await db.query<{ id: string }>(
          'select id from messages where group_id = $1 and client_message_id = $2',
          [groupId, content],
        );
        return rows[0]?.id ?? '';
      };
      /** A change that was done already finds nothing to change. */
      const orDone = async (work: Promise<unknown>) =>
        work.catch((error: unknown) => {
          if (!(error instanceof GroupcastError) || error.code !== 'NOT_FOUND') throw error;
        });
      type Step = ((deps: Deps) => Promise<unknown>) | { until: 'relayed' | 'given back' } | { relay: () => void };
      const steps: Step[] = [
        async (deps) =>
          createGroup(deps, { id: groupId, userId: people.alice, kind: 'group', memberIds: [people.bob] }),
        say('one'),
        { until: 'relayed' },
        say('poison'),
        say('later'),
        { until: 'relayed' },
        async (deps) => addMembers(deps, { ...as, userIds: [people.carol] }),
        say('two'),
        { until: 'relayed' },
        { relay: () => relay.lose(groupId, 2) },
        say('after a loss'),
        { until: 'relayed' },
        { relay: () => relay.heads.set(groupId, { epoch: relay.heads.get(groupId)?.epoch ?? '', seq: 100 }) },
        say('after a restore'),
        { until: 'relayed' },
        async (deps) => editMessage(deps, { ...as, messageId: await idOf('one'), content: 'edited' }),
        async (deps) => orDone(deleteMessage(deps, { ...as, messageId: await idOf('two') })),
        async (deps) => orDone(removeMember(deps, { ...as, memberId: people.bob })),
        say('three'),
        { until: 'given back' },
        say('last'),
        { until: 'given back' },
      ];
      return { steps, contents: ['edited', 'poison', 'later', 'after a loss', 'after a restore', 'three', 'last'] };
    }

    async function run(at: number, fault: Fault): Promise<number> {
      const groupId = randomUUID();
      const people = peopleOf(groupId);
      const relay = createRelayStub();
      const faulty = createFaultyProcess(at, fault);
      const { steps, contents } = createScenario(groupId, relay, people);
      const first = startProcess(groupId, relay, faulty);
      let second: ReturnType<typeof startProcess> | undefined;
      const current = () => {
        if (faulty.isDead) second ??= startProcess(groupId, relay);
        return second ?? first;
      };
      for (const step of steps) {
        if ('relay' in step) step.relay();
        else if ('until' in step) {
          const head = await headOfGroup(groupId);
          await until('the relay to have everything', () => {
            current();
            return relay.logOf(groupId).at(-1)?.seq === head;
          });
          if (step.until === 'relayed') continue;
          await until('the group to be given back', async () => {
            current();
            return isGivenBack(groupId);
          });
        } else {
          await until('the user to succeed', async () => {
            await step(current().deps);
            return true;
          });
        }
      }
      await first.stop();
      await second?.stop();
      await expectRelayed(db, relay, groupId);
      const page = await listMessages(groupDeps(db, { wake: () => undefined, whenDispatched: async () => true }), {
        userId: people.alice,
        groupId,
        limit: 100,
      });
      expect(page.messages.map(({ content }) => content)).toEqual(contents);
      // Nothing that came after a removal was sent before it was done.
      const removedAt = relay.calls.findIndex((call) => call.startsWith('member-removed'));
      const nextAt = relay.calls.findIndex(
        (call) => call.startsWith('new-message') && relay.calls.indexOf(call) > removedAt,
      );
      expect(relay.calls.indexOf(`remove ${people.bob}`)).toBeGreaterThan(removedAt);
      expect(relay.calls.indexOf(`remove ${people.bob}`)).toBeLessThan(nextAt);
      return faulty.steps;
    }

    test.each(faults)(
      'whichever step goes wrong ($fault), every event is relayed once, in order (G1, G2, G3)',
      async ({ fault, from, every }) => {
        const count = await run(Number.POSITIVE_INFINITY, fault);
        expect(count).toBeGreaterThan(40);
        const places = Array.from({ length: count }, (_, n) => n + 1).filter((n) => n % every === from % every);
        const failed: string[] = [];
        const worker = async (): Promise<void> => {
          for (let at = places.shift(); at !== undefined; at = places.shift()) {
            try {
              await run(at, fault);
            } catch (error) {
              failed.push(`step ${at} of ${count}: ${String(error)} ${String((error as Error).cause ?? '')}`);
            }
          }
        };
        await Promise.all(Array.from({ length: AT_ONCE }, worker));
        expect(failed).toEqual([]);
      },
      PATIENCE_MS,
    );
  });
}
