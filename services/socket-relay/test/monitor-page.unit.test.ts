import type { MonitorEvent, MonitorNode } from '@groupcast/shared';
import { describe, expect, test } from 'vitest';
import { createAllNodes } from '../src/monitor-page/all-nodes.ts';
import { createGroupActivity } from '../src/monitor-page/group-activity.ts';
import { bucketsSince, quantileMs } from '../src/monitor-page/lag-quantiles.ts';
import { createLoginAttempts } from '../src/monitor-page/login-attempts.ts';
import { createPageSessions } from '../src/monitor-page/page-sessions.ts';
import { brokerUnavailable } from '../src/nodes/broker-errors.ts';

function createClock() {
  let at = 1_000;
  return { now: () => at, pass: (ms: number) => void (at += ms) };
}

describe('the sessions of the monitor page', () => {
  test('end with their token, by logging out, and for a hundred newer ones (G89)', async () => {
    const clock = createClock();
    const sessions = createPageSessions(clock.now);
    const [short, long] = [
      await sessions.open({ subject: 'a', endsInMs: 10 }),
      await sessions.open({ subject: 'b', endsInMs: 1_000 }),
    ];
    expect(short).not.toBe(long);
    clock.pass(10);
    expect(await sessions.find(short)).toBeUndefined();
    expect(await sessions.find(long)).toEqual({ subject: 'b', endsInMs: 990 });
    await sessions.end(long);
    expect(await sessions.find(long)).toBeUndefined();
    const first = await sessions.open({ subject: 'c', endsInMs: 1_000 });
    for (let n = 0; n < 99; n += 1) await sessions.open({ subject: 'd', endsInMs: 1_000 });
    expect(await sessions.find(first)).toBeDefined();
    await sessions.open({ subject: 'e', endsInMs: 1_000 });
    expect(await sessions.find(first)).toBeUndefined();
  });
});

describe('wrong tokens', () => {
  test('are counted by address, and forgotten with time', () => {
    const clock = createClock();
    const attempts = createLoginAttempts(clock.now);
    for (let n = 0; n < 10; n += 1) {
      attempts.assertAllowed('10.0.0.1');
      attempts.noteWrong('10.0.0.1');
    }
    expect(() => attempts.assertAllowed('10.0.0.1')).toThrow(/more than 10 wrong tokens a minute/);
    expect(() => attempts.assertAllowed('10.0.0.2')).not.toThrow();
    clock.pass(6_001);
    expect(() => attempts.assertAllowed('10.0.0.1')).not.toThrow();
  });

  test('of made-up addresses take no more memory than a thousand', () => {
    const attempts = createLoginAttempts(() => 0);
    for (let n = 0; n < 10; n += 1) attempts.noteWrong('first');
    expect(() => attempts.assertAllowed('first')).toThrow(/wrong tokens/);
    for (let n = 0; n < 1_000; n += 1) attempts.noteWrong(`address-${n}`);
    expect(() => attempts.assertAllowed('first')).not.toThrow();
  });
});

describe('a quantile of a histogram', () => {
  const buckets = (...counts: number[]) =>
    counts.map((count, index) => ({ le: [0.01, 0.1, 1, Infinity][index] ?? 0, count }));

  test.each([
    ['nothing', buckets(0, 0, 0, 0), 0.5, null],
    ['the middle of a bucket', buckets(0, 10, 10, 10), 0.5, 55],
    ['the first bucket', buckets(10, 10, 10, 10), 0.5, 5],
    ['what is above the last bound', buckets(0, 0, 0, 10), 0.99, 1_000],
  ])('of %s', (_of, given, q, expected) => {
    const found = quantileMs(given, q);
    expect(found === null ? found : Math.round(found)).toBe(expected);
  });

  test('is of what came since the last look', () => {
    expect(bucketsSince(buckets(5, 5, 5, 5), buckets(5, 6, 6, 6)).map(({ count }) => count)).toEqual([0, 1, 1, 1]);
    expect(bucketsSince(undefined, buckets(1, 1, 1, 1)).map(({ count }) => count)).toEqual([1, 1, 1, 1]);
    expect(quantileMs(bucketsSince(undefined, []), 0.5)).toBeNull();
  });
});

describe('the activity of groups', () => {
  const broadcast = (groupId: string, connections: number, duplicate = false): MonitorEvent => {
    return {
      kind: 'broadcast',
      at: 0,
      node: 'n',
      groupId,
      id: 'm',
      event: 'e',
      position: null,
      connections,
      duplicate,
    };
  };

  test('is that of the last minute, without duplicates, and of a limited number of groups', () => {
    const clock = createClock();
    const activity = createGroupActivity(clock.now);
    activity.note(broadcast('g', 3));
    activity.note(broadcast('g', 3, true));
    clock.pass(30_000);
    activity.note(broadcast('g', 4));
    expect([...activity.lastMinute()]).toEqual([['g', { events: 2, deliveries: 7 }]]);
    clock.pass(35_000);
    expect([...activity.lastMinute()]).toEqual([['g', { events: 1, deliveries: 4 }]]);
    clock.pass(60_000);
    for (let n = 0; n < 3_000; n += 1) activity.note(broadcast(`g${n}`, 1));
    expect(activity.lastMinute().size).toBe(2_000);
  });
});

describe('the state of all nodes', () => {
  const node = (name: string, groups: [string, number][]): MonitorNode => ({
    node: name,
    at: 1,
    uptimeSeconds: 1,
    connections: 1,
    services: 0,
    groups: groups.length,
    failing: [],
    degraded: [],
    samples: [],
    topGroups: groups.map(([groupId, connections]) => ({ groupId, connections })),
    warnings: [],
  });
  const own = { describe: async () => node('b', [['g1', 2]]), stop: () => undefined };
  const monitor = { connectionsOf: () => [] };

  test('adds up groups, and names the nodes that do not answer', async () => {
    const answers: Record<string, unknown[]> = {
      'monitor-node': [
        node('a', [
          ['g1', 3],
          ['g2', 4],
        ]),
      ],
      'monitor-user': [{ node: 'a', connections: [] }],
    };
    const others = {
      answer: () => undefined,
      poll: async (kind: string) => ({ answers: answers[kind] as never[], missing: ['c'] }),
    };
    const nodes = createAllNodes({ node: 'b', own, monitor, others });
    const state = await nodes.state(1);
    expect(state.nodes.map((each) => each.node)).toEqual(['a', 'b']);
    expect(state.silent).toEqual(['c']);
    expect(state.groups.map(({ groupId, connections }) => [groupId, connections])).toEqual([
      ['g1', 5],
      ['g2', 4],
    ]);
    expect(await nodes.user('u')).toMatchObject({ nodes: [{ node: 'b' }, { node: 'a' }], silent: ['c'] });
  });

  test('is that of this node while the others cannot be asked', async () => {
    const away = async () => Promise.reject(brokerUnavailable('ask the other relays', new Error('no redis')));
    const others = { answer: () => undefined, poll: away };
    const state = await createAllNodes({ node: 'b', own, monitor, others }).state(1);
    expect([state.nodes.map((each) => each.node), state.silent]).toEqual([['b'], []]);
  });
});
