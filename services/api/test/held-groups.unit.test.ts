import { GroupcastError } from '@groupcast/shared';
import { until } from '@groupcast/testing';
import { pino } from 'pino';
import { describe, expect, test } from 'vitest';
import type { StoredEvent } from '../src/events/stored-event.ts';
import { createApiMetrics } from '../src/metrics.ts';
import { createDispatcher } from '../src/outbox/dispatcher.ts';
import { createFreshEvents } from '../src/outbox/fresh-events.ts';
import { createHeldGroups } from '../src/outbox/held-groups.ts';
import type { Lease, OutboxStore, Settled } from '../src/outbox/outbox-store.ts';
import type { SendOutcome } from '../src/outbox/relay-client.ts';

const log = pino({ level: 'silent' });
const leaseOf = (groupId: string, dispatchedSeq = 0): Lease => ({ groupId, token: 1, epoch: '1-a', dispatchedSeq });
const eventAt = (seq: number, effect?: StoredEvent['effect']): StoredEvent => ({
  seq,
  id: `e${seq}`,
  type: effect ? 'member-added' : 'new-message',
  payload: { n: seq },
  ...(effect ? { effect } : {}),
});

/** So that what promises have set off so far has happened. */
const turn = async (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

interface Settlement {
  asked: Parameters<OutboxStore['settle']>[0];
  answer(states: Settled[]): void;
  fail(): void;
}

/** A store whose settlements the test answers. Everything else is answered at once. */
function createStore() {
  const settlements: Settlement[] = [];
  const calls: string[] = [];
  /** Whether two settlements of one group were ever open at once. */
  let overlaps = false;
  const open = new Set<string>();
  const store = {
    async settle(asked: Settlement['asked']) {
      const ids = asked.map(({ lease }) => lease.groupId);
      overlaps ||= ids.some((id) => open.has(id));
      for (const id of ids) open.add(id);
      calls.push(`settle ${ids.join()}`);
      return new Promise<Settled[]>((resolve, reject) => {
        const close = (): void => {
          for (const id of ids) open.delete(id);
          calls.push(`settled ${ids.join()}`);
        };
        settlements.push({
          asked,
          answer(states) {
            close();
            resolve(states);
          },
          fail() {
            close();
            reject(new GroupcastError('API_UNAVAILABLE', 'away'));
          },
        });
      });
    },
    async postpone(lease: Lease, delayMs: number) {
      calls.push(`postpone ${lease.groupId} ${lease.dispatchedSeq} ${delayMs}`);
    },
    async rewind(lease: Lease, seq: number) {
      calls.push(`rewind ${lease.groupId} ${seq}`);
      return true;
    },
    renew: async () => true,
    findBacklog: async () => [] as string[],
    attempts: async () => 0,
    savedSeq: async () => 0,
    dispatchedSeq: async () => 0,
    read: async () => [] as StoredEvent[],
    backlog: async () => ({ groups: 0, events: 0, oldestSeconds: 0 }),
  };
  return {
    calls,
    store: store as typeof store & OutboxStore,
    get overlaps() {
      return overlaps;
    },
    settlement: async (n: number): Promise<Settlement> => until(`settlement ${n}`, () => settlements[n]),
    settlements,
  };
}

function createHeld(fake: ReturnType<typeof createStore>, isConnected = true) {
  const link = { isConnected };
  const more: string[] = [];
  const forgotten: string[] = [];
  const held = createHeldGroups(
    {
      store: fake.store,
      log,
      isConnected: () => link.isConnected,
      onMore: (groupId) => more.push(groupId),
      onForgotten: (groupId) => forgotten.push(groupId),
    },
    { leaseMs: 10_000, writeMs: 5 },
  );
  return { held, link, more, forgotten };
}

describe('held groups', () => {
  test('a group that is wanted while it is being given back is not worked on before that is decided', async () => {
    const fake = createStore();
    const { held, more, forgotten } = createHeld(fake);
    for (const groupId of ['a', 'b']) held.rest(held.add(leaseOf(groupId, 3), performance.now()));
    held.releaseQuiet();
    const taken = Promise.all([held.take('a'), held.take('b')]);
    let isTaken = false;
    void taken.then(() => {
      isTaken = true;
    });
    await turn();
    expect(isTaken).toBe(false);
    (await fake.settlement(0)).answer(['released', 'more']);
    const [a, b] = await taken;
    expect(a).toBeUndefined();
    expect(b).toMatchObject({ lease: { groupId: 'b' }, quietSince: undefined });
    expect({ more, forgotten }).toEqual({ more: ['b'], forgotten: ['a'] });
  });

  test('a group that is worked on is settled, and not given back', async () => {
    const fake = createStore();
    const { held } = createHeld(fake);
    const group = held.add(leaseOf('a', 3), performance.now());
    group.lease.dispatchedSeq = 4;
    held.releaseQuiet();
    const { asked, answer } = await fake.settlement(0);
    expect(asked).toMatchObject([{ lease: { dispatchedSeq: 4 }, closes: false }]);
    // The relay accepts more in the meantime, which is not written yet.
    group.lease.dispatchedSeq = 5;
    answer(['held']);
    await turn();
    expect(group.writtenSeq).toBe(4);
    held.releaseQuiet();
    expect((await fake.settlement(1)).asked).toMatchObject([{ lease: { dispatchedSeq: 5 }, closes: false }]);
  });

  test('no two settlements of a group are open at once: the older cursor could be written last', async () => {
    const fake = createStore();
    const { held } = createHeld(fake);
    const [a, b] = ['a', 'b'].map((groupId) => held.add(leaseOf(groupId), performance.now()));
    if (!a || !b) throw new Error('unreachable');
    a.lease.dispatchedSeq = 1;
    held.releaseQuiet();
    await fake.settlement(0);
    a.lease.dispatchedSeq = 2;
    b.lease.dispatchedSeq = 1;
    const written = [held.write(a), held.write(b)];
    await turn();
    expect(fake.calls).toEqual(['settle a', 'settle b']);
    (await fake.settlement(0)).answer(['held']);
    expect((await fake.settlement(2)).asked).toMatchObject([{ lease: { groupId: 'a', dispatchedSeq: 2 } }]);
    // A sweep leaves out what is being written.
    b.lease.dispatchedSeq = 2;
    held.releaseQuiet();
    await turn();
    for (const n of [1, 2]) (await fake.settlement(n)).answer(['held']);
    expect(await Promise.all(written)).toEqual([true, true]);
    held.releaseQuiet();
    expect((await fake.settlement(3)).asked).toMatchObject([{ lease: { groupId: 'b', dispatchedSeq: 2 } }]);
    expect(fake.overlaps).toBe(false);
  });

  test('without a relay, a group that has more is given back at once, to be tried now', async () => {
    const fake = createStore();
    const { held, more, forgotten } = createHeld(fake, false);
    held.rest(held.add(leaseOf('a', 7), performance.now()));
    held.releaseQuiet();
    (await fake.settlement(0)).answer(['more']);
    await until('the group to be given back', () => fake.calls.includes('postpone a 7 0'));
    expect({ more, forgotten, has: held.has('a') }).toEqual({ more: [], forgotten: ['a'], has: false });
  });

  test('… and where that fails, nothing of the others in the same statement is forgotten', async () => {
    const fake = createStore();
    const { held, forgotten } = createHeld(fake, false);
    fake.store.postpone = async () => {
      throw new GroupcastError('API_UNAVAILABLE', 'away');
    };
    for (const groupId of ['a', 'b', 'c']) held.rest(held.add(leaseOf(groupId, 7), performance.now()));
    held.releaseQuiet();
    (await fake.settlement(0)).answer(['more', 'released', 'lost']);
    await until('the answer to be applied', () => !held.has('a'));
    await turn();
    expect(forgotten.toSorted()).toEqual(['a', 'b', 'c']);
    expect(held.has('b')).toBe(false);
  });

  test('a settlement that fails leaves the group held, and is tried again', async () => {
    const fake = createStore();
    const { held } = createHeld(fake);
    held.rest(held.add(leaseOf('a', 7), performance.now()));
    held.start();
    (await fake.settlement(0)).fail();
    const { asked, answer } = await fake.settlement(1);
    expect(asked).toMatchObject([{ lease: { groupId: 'a' }, closes: true }]);
    answer(['released']);
    await held.stop();
    expect(held.has('a')).toBe(false);
  });
});

describe('the dispatcher and the groups that it holds', () => {
  function start(
    fake: ReturnType<typeof createStore>,
    send: (events: readonly StoredEvent[]) => Promise<SendOutcome>,
    { saved = [], writeMs = 5 }: { saved?: StoredEvent[]; writeMs?: number } = {},
  ) {
    const reads: number[] = [];
    const link = { connected: true };
    const store: OutboxStore = {
      ...fake.store,
      claim: async (groupId) => ({ kind: 'claimed', lease: leaseOf(groupId), events: [...saved] }),
      async read({ dispatchedSeq }) {
        reads.push(dispatchedSeq);
        return saved.filter(({ seq }) => seq > dispatchedSeq);
      },
    };
    const dispatcher = createDispatcher(
      {
        store,
        relay: Object.assign(link, { send: async (_lease: Lease, events: readonly StoredEvent[]) => send(events) }),
        metrics: createApiMetrics(async () => store.backlog()),
        log,
      },
      { leaseMs: 10_000, pollMs: 10_000, writeMs, concurrency: 4 },
    );
    void dispatcher.start();
    let answering: NodeJS.Timeout | undefined;
    function answerAll(): void {
      answering ??= setInterval(() => {
        for (const { asked, answer } of fake.settlements.splice(0))
          answer(asked.map(({ closes }) => (closes ? 'released' : 'held')));
      });
    }
    return {
      dispatcher,
      reads,
      link,
      save(event: StoredEvent, isFresh = true) {
        saved.push(event);
        dispatcher.wake('a', isFresh ? event : undefined);
      },
      /** Answers every settlement from now on. */
      answerAll,
      async stop() {
        answerAll();
        await dispatcher.stop();
        clearInterval(answering);
      },
    };
  }

  const accept = async (events: readonly StoredEvent[]): Promise<SendOutcome> => ({
    acceptedSeq: events.at(-1)?.seq ?? 0,
  });

  test('a message that comes while its group is being given back is sent, whatever is decided', async () => {
    for (const state of ['released', 'more'] as const) {
      const fake = createStore();
      const sent: number[] = [];
      const { save, stop } = start(fake, async (events) => {
        sent.push(...events.map(({ seq }) => seq));
        return accept(events);
      });
      save(eventAt(1));
      const closing = await until('the group to be given back', () => {
        for (const settlement of fake.settlements.splice(0)) {
          if (settlement.asked[0]?.closes) return settlement;
          settlement.answer(['held']);
        }
        return undefined;
      });
      save(eventAt(2));
      closing.answer([state]);
      await until('the second message', () => sent.at(-1) === 2);
      await stop();
    }
  });

  test('a group that has to wait is given back after its cursor is written, which would take the lease again', async () => {
    const fake = createStore();
    const late = new GroupcastError('RATE_LIMITED', 'behind', { retryAfterMs: 60_000 });
    let refuse = (): void => undefined;
    const { dispatcher, stop } = start(
      fake,
      async (events) => {
        // The lease had to be renewed between two runs.
        if (events[0]?.seq === 1) return { acceptedSeq: 1 };
        await new Promise<void>((resolve) => {
          refuse = resolve;
        });
        return { acceptedSeq: 1, failure: { seq: 2, error: late, ofEvent: true } };
      },
      { saved: [eventAt(1), eventAt(2)] },
    );
    dispatcher.wake('a');
    const { asked, answer } = await fake.settlement(0);
    expect(asked).toMatchObject([{ lease: { dispatchedSeq: 1 }, closes: false }]);
    refuse();
    for (let n = 0; n < 5; n += 1) await turn();
    expect(fake.calls.filter((call) => call.startsWith('postpone'))).toEqual([]);
    answer(['held']);
    await until('it to be given back', () => fake.calls.at(-1) === 'postpone a 1 15000');
    await stop();
    expect(fake.calls.at(-1)).toBe('postpone a 1 15000');
  });

  test('a group that is lost while it is being sent is not moved any more', async () => {
    const fake = createStore();
    let release = (): void => undefined;
    const { dispatcher, stop } = start(
      fake,
      async (events) => {
        if (events[0]?.seq === 1) return { acceptedSeq: 1 };
        await new Promise<void>((resolve) => {
          release = resolve;
        });
        return accept(events);
      },
      { saved: [eventAt(1), eventAt(2)] },
    );
    dispatcher.wake('a');
    (await fake.settlement(0)).answer(['lost']);
    await turn();
    release();
    for (let n = 0; n < 5; n += 1) await turn();
    // Whether the relay took it is for the group's new owner to say.
    expect(await dispatcher.whenDispatched('a', 2, 0)).toBe(false);
    await stop();
    expect(fake.calls).toEqual(['settle a', 'settled a']);
  });

  test('a caller that waits for an event that the relay has accepted waits for no cursor to be written', async () => {
    const fake = createStore();
    const { dispatcher, save, stop } = start(fake, accept);
    save(eventAt(1));
    await until('it to be sent', () => fake.settlements[0]);
    expect(await dispatcher.whenDispatched('a', 1, 0)).toBe(true);
    expect(await dispatcher.whenDispatched('a', 2, 0)).toBe(false);
    await stop();
  });

  test('events with a hole are read from the database, and those without are not', async () => {
    const fake = createStore();
    const sent: number[] = [];
    const send = async (events: readonly StoredEvent[]) => {
      sent.push(...events.map(({ seq }) => seq));
      return accept(events);
    };
    const { save, reads, answerAll, stop } = start(fake, send, { writeMs: 60_000 });
    answerAll();
    save(eventAt(1));
    await until('the first', () => sent.includes(1));
    save(eventAt(2));
    await until('the second', () => sent.includes(2));
    expect(reads).toEqual([]);
    save(eventAt(3, { add: ['bob'] }), false);
    save(eventAt(4));
    await until('the others', () => sent.includes(4));
    await stop();
    expect(sent).toEqual([1, 2, 3, 4]);
    expect(reads[0]).toBe(2);
  });
});

describe('fresh events', () => {
  test('are answered in their order where they go on without a hole, once', () => {
    const fresh = createFreshEvents();
    for (const seq of [3, 2, 4]) fresh.put('a', eventAt(seq));
    expect(fresh.take('a', 1)?.map(({ seq }) => seq)).toEqual([2, 3, 4]);
    expect(fresh.take('a', 1)).toBeUndefined();
  });

  test.each([
    { what: 'a hole before them', seqs: [3, 4], after: 1 },
    { what: 'a hole between them', seqs: [2, 4], after: 1 },
    { what: 'nothing that is new', seqs: [1, 2], after: 2 },
  ])('with $what are left to the database', ({ seqs, after }) => {
    const fresh = createFreshEvents();
    for (const seq of seqs) fresh.put('a', eventAt(seq));
    expect(fresh.take('a', after)).toBeUndefined();
  });

  test('that were sent already are left out', () => {
    const fresh = createFreshEvents();
    for (const seq of [1, 2, 3]) fresh.put('a', eventAt(seq));
    expect(fresh.take('a', 2)?.map(({ seq }) => seq)).toEqual([3]);
  });

  test('of a group that is not held any more take no room from others', () => {
    const fresh = createFreshEvents();
    const large = (seq: number): StoredEvent => ({ ...eventAt(seq), payload: { text: 'x'.repeat(1_048_000) } });
    for (let seq = 1; seq <= 5; seq += 1) fresh.put('a', large(seq));
    fresh.put('b', large(1));
    expect(fresh.take('b', 0)).toBeUndefined();
    fresh.drop('a');
    fresh.put('b', large(1));
    expect(fresh.take('b', 0)).toHaveLength(1);
    expect(fresh.take('a', 0)).toBeUndefined();
  });
});
