import type { GroupcastError } from '@groupcast/shared';
import { pino } from 'pino';
import { afterEach, describe, expect, test } from 'vitest';
import { type Arrival, createThrottle, type Throttle } from '../src/broadcast/throttle.ts';
import { createRelayMetrics } from '../src/metrics/relay-metrics.ts';

const MAX_LAG_MS = 100;
const MAX_WAIT_MS = 1_500;
/** Broadcasts that may go on in one turn, and those that are let in between two looks at the lag. */
const TURN = 1_000;
const STEP = 64;

const started: Throttle[] = [];
afterEach(() => {
  for (const throttle of started.splice(0)) throttle.stop();
});

interface Bench {
  throttle: Throttle;
  /** The lag of the fan-out and the time that the test sets, in milliseconds. */
  at: { lag: number; now: number };
  /** Names of broadcasts that were let in, in order, and codes of those that were refused, by name. */
  letIn: string[];
  refused: Map<string, GroupcastError>;
  /** Asks to be let in, and notes the outcome. */
  enter(name: string, arrival?: Arrival, bytes?: number): Promise<void>;
  metric(name: string): Promise<number>;
}

function startBench(): Bench {
  const at = { lag: 0, now: 0 };
  const metrics = createRelayMetrics();
  const throttle = createThrottle({
    lagMs: () => at.lag,
    maxLagMs: MAX_LAG_MS,
    metrics,
    log: pino({ level: 'silent' }),
    now: () => at.now,
  });
  started.push(throttle);
  const letIn: string[] = [];
  const refused = new Map<string, GroupcastError>();
  return {
    throttle,
    at,
    letIn,
    refused,
    async enter(name, arrival = throttle.arrive(), bytes = 1) {
      try {
        const waits = throttle.admit(arrival, bytes);
        if (waits) await waits;
        letIn.push(name);
      } catch (error) {
        refused.set(name, error as GroupcastError);
      }
    },
    async metric(name) {
      const { values } = (await metrics.registry.getSingleMetric(`groupcast_relay_${name}`)?.get()) ?? { values: [] };
      return values.reduce((sum, { value }) => sum + value, 0);
    },
  };
}

const turn = async (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
const names = (count: number, from = 0): string[] => Array.from({ length: count }, (_, n) => `${from + n}`);

/** A batch: each item asks to be let in when the one before it is in. */
async function enterInTurn(bench: Bench, items: readonly string[], arrival = bench.throttle.arrive()): Promise<void> {
  for (const item of items) await bench.enter(item, arrival);
}

describe('a broadcast', () => {
  test('goes on at once, with no promise, while the fan-out keeps up', () => {
    const { throttle, at } = startBench();
    at.lag = MAX_LAG_MS;
    expect(throttle.admit(throttle.arrive(), 1)).toBeUndefined();
  });

  test('waits while the fan-out lags, and is let in when it does not any more (G33)', async () => {
    const bench = startBench();
    bench.at.lag = MAX_LAG_MS + 1;
    const entering = bench.enter('a');
    await turn();
    await turn();
    expect(bench.letIn).toEqual([]);
    expect(await bench.metric('broadcasts_waiting')).toBe(1);
    expect(await bench.metric('broadcasts_delayed_total')).toBe(1);
    expect(await bench.metric('fan_out_lag_seconds')).toBeCloseTo(0.101);
    bench.at.lag = MAX_LAG_MS;
    await entering;
    expect(bench.letIn).toEqual(['a']);
    expect(await bench.metric('broadcasts_waiting')).toBe(0);
  });

  test('that comes when the lag has fallen does not overtake those that wait', async () => {
    const bench = startBench();
    bench.at.lag = 500;
    const first = bench.enter('first');
    bench.at.lag = 0;
    await Promise.all([first, bench.enter('second')]);
    expect(bench.letIn).toEqual(['first', 'second']);
  });

  test('is let in with a few others only, before the lag is looked at again', async () => {
    const bench = startBench();
    bench.at.lag = 500;
    const all = names(STEP + 10).map(async (name) => bench.enter(name));
    bench.at.lag = 0;
    await turn();
    expect(bench.letIn).toEqual(names(STEP));
    bench.at.lag = 500;
    await turn();
    await turn();
    expect(bench.letIn).toHaveLength(STEP);
    bench.at.lag = 0;
    await Promise.all(all);
    expect(bench.letIn).toEqual(names(STEP + 10));
  });

  test('waits for the next turn where very many have come in this one', async () => {
    const bench = startBench();
    const all = names(TURN + 10).map(async (name) => bench.enter(name));
    expect(bench.letIn).toEqual(names(TURN));
    await Promise.all(all);
    expect(bench.letIn).toEqual(names(TURN + 10));
    // And the next turn has as many again.
    await turn();
    const next = names(TURN, 5_000).map(async (name) => bench.enter(name));
    expect(bench.letIn).toHaveLength(2 * TURN + 10);
    await Promise.all(next);
  });

  test('that has waited too long is refused, and may come again', async () => {
    const bench = startBench();
    bench.at.lag = 500;
    const early = bench.enter('early');
    bench.at.now = 1;
    const late = bench.enter('late');
    bench.at.now = MAX_WAIT_MS;
    await turn();
    expect(bench.refused.size).toBe(0);
    bench.at.now = MAX_WAIT_MS + 1;
    await early;
    const error = bench.refused.get('early');
    expect(error).toMatchObject({ code: 'RATE_LIMITED', retryable: true });
    expect(error?.retryAfterMs).toBeGreaterThan(0);
    expect(error?.retryAfterMs).toBeLessThan(MAX_WAIT_MS * 2);
    expect(await bench.metric('broadcasts_held_off_total')).toBe(1);
    bench.at.lag = 0;
    await late;
    expect(bench.letIn).toEqual(['late']);
  });

  test('is not refused together with all that are late, which would take long', async () => {
    const bench = startBench();
    bench.at.lag = 500;
    const all = names(1_000).map(async (name) => bench.enter(name));
    bench.at.now = MAX_WAIT_MS + 1;
    await turn();
    expect(bench.refused.size).toBe(256);
    await Promise.all(all);
    expect([...bench.refused.keys()]).toEqual(names(1_000));
  });

  test('is refused at once where too many, or too much, waits', async () => {
    const many = startBench();
    many.at.lag = 500;
    const waiting = names(10_000).map(async (name) => many.enter(name));
    await many.enter('one more');
    expect(many.refused.get('one more')).toMatchObject({ code: 'RATE_LIMITED', retryable: true });
    many.at.lag = 0;
    await Promise.all(waiting);
    expect(many.letIn).toEqual(names(10_000));

    const large = startBench();
    large.at.lag = 500;
    const first = large.enter('first', undefined, 60 * 1024 * 1024);
    await large.enter('large', undefined, 5 * 1024 * 1024);
    const small = large.enter('small', undefined, 3 * 1024 * 1024);
    expect([...large.refused.keys()]).toEqual(['large']);
    large.at.lag = 0;
    await Promise.all([first, small]);
    // A broadcast that was let in does not count any more.
    large.at.lag = 500;
    const again = large.enter('again', undefined, 60 * 1024 * 1024);
    large.at.lag = 0;
    await again;
    expect(large.letIn).toEqual(['first', 'small', 'again']);
  });

  test('that waits is refused when the relay stops', async () => {
    const bench = startBench();
    bench.at.lag = 500;
    const entering = bench.enter('a');
    bench.throttle.stop();
    await entering;
    expect(bench.refused.get('a')).toMatchObject({ code: 'SERVER_DRAINING', retryable: true });
  });
});

describe('the items of a batch', () => {
  test('keep the place that the batch had, a few in a turn', async () => {
    const bench = startBench();
    const items = names(STEP + 1);
    const newcomers = names(STEP + 10, 1_000);
    bench.at.lag = 500;
    const batch = enterInTurn(bench, items);
    bench.at.now = 1;
    const later = newcomers.map(async (name) => bench.enter(name));
    bench.at.lag = 0;
    await turn();
    expect(bench.letIn).toEqual(['0', ...newcomers.slice(0, STEP - 1)]);
    // It has come before those that still wait, and goes on before them.
    await turn();
    expect(bench.letIn.slice(STEP)).toEqual(items.slice(1));
    await Promise.all([batch, ...later]);
    expect(bench.letIn.slice(2 * STEP)).toEqual(newcomers.slice(STEP - 1));
  });

  test('wait for the lag between two of them', async () => {
    const bench = startBench();
    const arrival = bench.throttle.arrive();
    await enterInTurn(bench, ['0', '1'], arrival);
    bench.at.lag = 500;
    const rest = enterInTurn(bench, ['2', '3'], arrival);
    await turn();
    expect(bench.letIn).toEqual(['0', '1']);
    bench.at.lag = 0;
    await rest;
    expect(bench.letIn).toEqual(['0', '1', '2', '3']);
  });

  test('are late together, from when the batch came', async () => {
    const bench = startBench();
    const arrival = bench.throttle.arrive();
    await enterInTurn(bench, ['0'], arrival);
    bench.at.lag = 500;
    bench.at.now = 1_000;
    const other = bench.enter('other');
    const rest = enterInTurn(bench, ['1', '2'], arrival);
    bench.at.now = MAX_WAIT_MS + 1;
    await rest;
    expect([...bench.refused.keys()]).toEqual(['1', '2']);
    bench.at.lag = 0;
    await other;
    expect(bench.letIn).toEqual(['0', 'other']);
  });

  test('of several groups, which wait beside each other, are let in together', async () => {
    const bench = startBench();
    bench.at.lag = 500;
    const arrival = bench.throttle.arrive();
    const entering = Promise.all(names(5).map(async (name) => bench.enter(name, arrival)));
    bench.at.lag = 0;
    await turn();
    expect(bench.letIn).toEqual(names(5));
    await entering;
  });
});
