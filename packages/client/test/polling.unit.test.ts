import { describe, expect, test } from 'vitest';
import { createPolling } from '../src/connection/polling.ts';
import { ClientError } from '../src/errors.ts';
import { manualClock } from './manual-clock.ts';

function setUp(error: ClientError | null) {
  const clock = manualClock();
  const polls: number[] = [];
  const outcomes: boolean[] = [];
  const polling = createPolling({
    afterMs: 10_000,
    intervalMs: 3_000,
    async poll() {
      polls.push(clock.now());
      return error;
    },
    onOutcome: (answered) => outcomes.push(answered),
    clock,
    random: () => 0.5,
  });
  return { clock, polls, outcomes, polling };
}

describe('polling', () => {
  test('begins after a while, and goes on at its interval until it is stopped', async () => {
    const { clock, polls, outcomes, polling } = setUp(null);
    polling.start();
    polling.start();
    await clock.advance(16_000);
    expect([polls, outcomes]).toEqual([
      [10_000, 13_000, 16_000],
      [true, true, true],
    ]);
    polling.stop();
    await clock.advance(60_000);
    expect([polls.length, clock.timers]).toEqual([3, 0]);
  });

  test('is ever more seldom while it fails', async () => {
    const { clock, polls, polling } = setUp(new ClientError('UNREACHABLE', 'down', { retryable: true }));
    polling.start();
    await clock.advance(300_000);
    const gaps = polls.slice(1).map((at, index) => at - (polls[index] ?? 0));
    expect([gaps[0], gaps.at(-1), polls.length]).toEqual([3_750, 37_500, 11]);
    polling.stop();
  });

  test('comes back when the API wants it', async () => {
    const slow = new ClientError('RATE_LIMITED', 'slow down', { retryable: true, retryAfterMs: 60_000 });
    const { clock, polls, polling } = setUp(slow);
    polling.start();
    await clock.advance(71_000);
    expect(polls).toEqual([10_000, 70_000]);
    polling.stop();
  });
});
