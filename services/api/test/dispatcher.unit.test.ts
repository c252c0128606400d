import { until } from '@groupcast/testing';
import { pino } from 'pino';
import { expect, test } from 'vitest';
import { createApiMetrics } from '../src/metrics.ts';
import { createDispatcher } from '../src/outbox/dispatcher.ts';
import type { OutboxStore } from '../src/outbox/outbox-store.ts';
import type { RelayClient } from '../src/outbox/relay-client.ts';

const log = pino({ level: 'silent' });
const never = async (): Promise<never> => new Promise(() => undefined);
const EVENT = { seq: 1, id: 'e', type: 'new-message', payload: {} };

/** A store with one event in each group, in which `broken` is never answered the first time. */
function createStore(broken: keyof OutboxStore | undefined): OutboxStore & { asked: string[] } {
  const asked: string[] = [];
  let isBroken = true;
  async function ask<T>(name: keyof OutboxStore, answer: T): Promise<T> {
    asked.push(name);
    if (name !== broken || !isBroken) return answer;
    isBroken = false;
    return never();
  }
  const lease = (groupId: string) => ({ groupId, token: 1, epoch: '1-a', dispatchedSeq: 0 });
  return {
    asked,
    findBacklog: async () => ask('findBacklog', ['a', 'b']),
    claim: async (groupId) => ask('claim', { kind: 'claimed' as const, lease: lease(groupId), events: [EVENT] }),
    renew: async () => ask('renew', true),
    read: async () => ask('read', [EVENT]),
    settle: async (leases) =>
      ask(
        'settle',
        leases.map(({ closes }) => (closes ? ('released' as const) : ('held' as const))),
      ),
    findBehind: async () => ask('findBehind', []),
    postpone: async () => ask('postpone', undefined),
    rewind: async () => ask('rewind', true),
    changeEpoch: async () => ask('changeEpoch', true),
    omit: async () => ask('omit', undefined),
    attempts: async () => ask('attempts', 0),
    dispatchedSeq: async () => ask('dispatchedSeq', 0),
    savedSeq: async () => ask('savedSeq', 1),
    floorSeq: async () => ask('floorSeq', 0),
    backlog: async () => ask('backlog', { groups: 0, events: 0, oldestSeconds: 0 }),
    clearLeases: async () => ask('clearLeases', undefined),
  };
}

function start(store: OutboxStore, relay: Partial<RelayClient> = {}, stepMs = 50, leaseMs = 1_000) {
  const defaults = { connected: true, send: async () => ({ acceptedSeq: 1 }) };
  const dispatcher = createDispatcher(
    {
      store,
      // The same object, whose state a test may change.
      relay: Object.assign(relay, { ...defaults, ...relay }),
      metrics: createApiMetrics(() => store.backlog()),
      log,
    },
    { leaseMs, pollMs: 20, writeMs: 20, concurrency: 1, stepMs },
  );
  void dispatcher.start();
  return dispatcher;
}

test.each(['findBacklog', 'claim', 'settle'] as const)(
  'a question to the database that is never answered (%s) holds up neither the other groups nor a stop (G59)',
  async (broken) => {
    const store = createStore(broken);
    const dispatcher = start(store);
    dispatcher.wake('a');
    dispatcher.wake('b');
    await until('everything to be settled', () => store.asked.filter((name) => name === 'settle').length >= 3);
    await dispatcher.stop();
  },
);

test('a relay that never answers holds up no other group for ever', async () => {
  const store = createStore(undefined);
  let calls = 0;
  const dispatcher = start(store, {
    async send() {
      calls += 1;
      return calls === 1 ? never() : { acceptedSeq: 1 };
    },
  });
  dispatcher.wake('a');
  dispatcher.wake('b');
  await until('the other group', () => store.asked.includes('settle'));
  await dispatcher.stop();
});

test.each(['claim', 'renew'] as const)(
  'a lease is counted from the question, however late its answer (%s)',
  async (late) => {
    const store = createStore(undefined);
    const leaseMs = 100;
    const hold = async () => new Promise((resolve) => setTimeout(resolve, leaseMs));
    const renewed: number[] = [];
    const claim = async (groupId: string, limit: number) => {
      const claimed = await store.claim(groupId, limit);
      await hold();
      return claimed;
    };
    const renew = async () => {
      renewed.push(performance.now());
      if (late === 'renew') await hold();
      return true;
    };
    const goodUntil: number[] = [];
    const dispatcher = start(
      { ...store, findBacklog: async () => [], claim, renew },
      {
        async send(_lease, _events, lastsUntil) {
          goodUntil.push(lastsUntil);
          return { acceptedSeq: 1 };
        },
      },
      10_000,
      leaseMs,
    );
    dispatcher.wake('a');
    await until('the event to be sent', () => goodUntil.length === 1);
    await dispatcher.stop();
    expect(renewed).toHaveLength(1);
    expect(goodUntil[0]).toBeLessThanOrEqual((renewed[0] ?? 0) + leaseMs / 2);
  },
);

test.each([true, false])(
  'events that other processes save in a group that is held are looked for where no notifications come (they come: %s)',
  async (hears) => {
    const store = createStore(undefined);
    const sent: number[] = [];
    let questions = 0;
    const wakeUps = {
      send: () => undefined,
      receive: async () =>
        Object.assign(async () => undefined, {
          hears() {
            questions += 1;
            return hears;
          },
        }),
    };
    const dispatcher = createDispatcher(
      {
        store: {
          ...store,
          findBacklog: async () => [],
          findBehind: async (leases) => {
            store.asked.push('findBehind');
            return leases.map(({ groupId }) => groupId);
          },
          read: async () => (sent.length === 1 ? [{ ...EVENT, seq: 2 }] : []),
        },
        relay: {
          connected: true,
          async send(_lease, events) {
            sent.push(...events.map(({ seq }) => seq));
            return { acceptedSeq: events.at(-1)?.seq ?? 0 };
          },
        },
        wakeUps,
        metrics: createApiMetrics(() => store.backlog()),
        log,
      },
      { leaseMs: 60_000, pollMs: 50, writeMs: 10_000, concurrency: 1 },
    );
    await dispatcher.start();
    dispatcher.wake('a');
    await until('the first event', () => sent.includes(1));
    const asked = questions;
    await until('it to be decided twice whether to look', () => questions >= asked + 2);
    if (!hears) await until('the event of another process', () => sent.length === 2);
    expect(store.asked.includes('findBehind')).toBe(!hears);
    expect(sent).toEqual(hears ? [1] : [1, 2]);
    await dispatcher.stop();
  },
);

test('callers that wait for an event ask the database one question at a time', async () => {
  const store = createStore('dispatchedSeq');
  const dispatcher = start(store, { connected: false }, 10_000);
  expect(await dispatcher.whenDispatched('a', 1, 350)).toBe(false);
  expect(store.asked).toEqual(['dispatchedSeq']);
  await dispatcher.stop();
});

test('more groups than may wait here wait in the database', async () => {
  const store = createStore(undefined);
  const relay = { connected: false };
  const dispatcher = start({ ...store, findBacklog: async () => [] }, relay);
  for (let n = 0; n < 10_100; n += 1) dispatcher.wake(`g${n}`);
  relay.connected = true;
  dispatcher.wake('g1');
  await until('those that waited', () => store.asked.filter((name) => name === 'claim').length >= 10_000);
  await dispatcher.stop();
  expect(store.asked.filter((name) => name === 'claim').length).toBeLessThanOrEqual(10_001);
});
