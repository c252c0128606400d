import { parseId } from '@groupcast/shared';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { canaryGroup, createCanary } from '../src/canary/canary.ts';
import { judgeCanary } from '../src/canary/judge-canary.ts';
import type { OutgoingEvent } from '../src/fan-out/fan-out.ts';
import { createReadiness } from '../src/internal-http/readiness.ts';
import { createRelayMetrics } from '../src/metrics/relay-metrics.ts';

describe('the verdict on canaries', () => {
  test.each([
    ['own pass, no others', undefined, undefined, 'passes'],
    ['own pass, others pass', undefined, 500, 'passes'],
    ['own fail, no others', 100, undefined, 'fails-everywhere'],
    ['own fail, others passed before that', 100, 99, 'fails-everywhere'],
    ['own fail, the last of others was sent together with it', 100, 100, 'fails-everywhere'],
    ['own fail, others pass since', 100, 101, 'fails-alone'],
  ])('%s', (_what, failsSince, othersPassedAt, expected) => {
    expect(judgeCanary({ failsSince, othersPassedAt })).toBe(expected);
  });
});

test('no id of a group is that of canaries', () => {
  expect([parseId('canary:node'), parseId(canaryGroup('node'))]).toEqual(['canary:node', undefined]);
});

describe('a node that sends itself canaries', () => {
  const metrics = createRelayMetrics();
  const lines: { level: number; msg: string }[] = [];
  let receive: ((event: OutgoingEvent) => void) | undefined;
  let comesThrough = true;
  let isJoined = true;
  const drain = { active: false };
  let othersAt: number | undefined;
  let shown: () => number | undefined = () => undefined;
  let canary: ReturnType<typeof createCanary>;

  beforeEach(() => {
    vi.useFakeTimers();
    lines.length = 0;
    [comesThrough, isJoined, drain.active, othersAt] = [true, true, false, undefined];
    metrics.registry.resetMetrics();
    canary = createCanary(
      {
        node: 'n',
        cluster: {
          groupLog: { append: async () => ({ outcome: 'appended', position: { epoch: '1-a', seq: 1 } }) },
          feed: {
            comesBack: false,
            open: async () => undefined,
            receive(_groupId, event) {
              if (comesThrough) receive?.(event);
              return 0;
            },
          },
          leases: { othersCanary: () => othersAt, showCanary: (passedAt) => (shown = passedAt) },
          failing: () => (isJoined ? [] : ['redis']),
        },
        fanOut: { addReceiver: (_groupId, receiver) => (receive = receiver) },
        drain,
        metrics,
        log: pino({ level: 'info' }, { write: (line: string) => void lines.push(JSON.parse(line)) }),
      },
      { intervalMs: 1_000, deadlineMs: 2_000 },
    );
    canary.start();
  });
  afterEach(() => {
    canary.stop();
    vi.useRealTimers();
  });
  const report = () => {
    const readiness = createReadiness({
      isDraining: () => false,
      failingCluster: () => [],
      isBackEndFailing: () => true,
      canary: canary.verdict,
    });
    readiness.stop();
    return readiness.report();
  };
  const failures = async () => (await metrics.canaryFailures.get()).values[0]?.value;
  const loseTwo = async () => {
    comesThrough = false;
    // Two that were sent before it, and came back, and then two that do not.
    await vi.advanceTimersByTimeAsync(1_000 + 1_000 + 2_000);
  };

  test('is unready when two in a row have failed and others pass since, and again ready when one comes back (G90)', async () => {
    await vi.advanceTimersByTimeAsync(10);
    const passedAt = shown();
    expect([passedAt === undefined, canary.verdict()]).toEqual([false, 'passes']);
    comesThrough = false;
    await vi.advanceTimersByTimeAsync(3_100);
    expect([await failures(), canary.verdict(), shown()]).toEqual([1, 'passes', passedAt]);
    othersAt = performance.now();
    await vi.advanceTimersByTimeAsync(1_000);
    expect([await failures(), report()]).toEqual([2, { failing: ['canary'], degraded: ['back-end'] }]);
    // The others learn of it too.
    othersAt = 0;
    expect(report()).toEqual({ failing: [], degraded: ['back-end', 'canary'] });
    comesThrough = true;
    await vi.advanceTimersByTimeAsync(1_000);
    expect([canary.verdict(), report().degraded]).toEqual(['passes', ['back-end']]);
    // Those that are overdue by now were sent before the one that came back.
    await vi.advanceTimersByTimeAsync(5_000);
    expect(canary.verdict()).toBe('passes');
  });

  test('is ready when two that have failed were not in a row: one that was sent between them has come back', async () => {
    const sendAll = async (...pass: boolean[]) => {
      for (const passes of pass) {
        comesThrough = passes;
        await vi.advanceTimersByTimeAsync(1_000);
      }
    };
    // The second one fails after the third has come back, and counts for itself.
    await sendAll(false, false, true, false, false);
    await vi.advanceTimersByTimeAsync(1_050);
    expect([await failures(), canary.verdict()]).toEqual([3, 'passes']);
    await vi.advanceTimersByTimeAsync(1_000);
    expect([await failures(), canary.verdict()]).toEqual([4, 'fails-everywhere']);
  });

  test('says so at error, once a minute, and once that it is over', async () => {
    await loseTwo();
    await vi.advanceTimersByTimeAsync(50_000);
    const errors = () => lines.filter(({ level }) => level === 50).map(({ msg }) => msg);
    expect(errors()).toEqual([expect.stringContaining('no other relay is known to do better')]);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(errors()).toHaveLength(2);
    comesThrough = true;
    await vi.advanceTimersByTimeAsync(5_000);
    expect(lines.filter(({ level }) => level === 30)).toMatchObject([{ msg: 'a canary of this relay has come back' }]);
  });

  test('counts none that fails while it is cut off from the others, and sends none', async () => {
    await loseTwo();
    isJoined = false;
    const before = await failures();
    expect(canary.verdict()).toBe('passes');
    await vi.advanceTimersByTimeAsync(30_000);
    expect(await failures()).toBe(before);
  });

  test('shows others none while it drains: they are not to count on it', async () => {
    await vi.advanceTimersByTimeAsync(10);
    drain.active = true;
    expect(shown()).toBeUndefined();
  });
});
