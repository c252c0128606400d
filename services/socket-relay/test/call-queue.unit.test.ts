import { until } from '@groupcast/testing';
import { describe, expect, test } from 'vitest';
import { createCallQueue } from '../src/upstream/call-queue.ts';
import { createRequestBatcher } from '../src/upstream/request-batcher.ts';

const LIMITS = { atOnce: 3, atOncePerUser: 2, waiting: 4, waitingPerUser: 2, maxWaitMs: 10_000 };
const codeOf = (error: unknown): unknown => (error as { code?: unknown }).code;

/** Work that goes on until it is ended. */
function hanging(): { work: () => Promise<string>; begun: number; end: () => void } {
  const ends: (() => void)[] = [];
  const task = {
    begun: 0,
    async work() {
      task.begun += 1;
      return new Promise<string>((resolve) => ends.push(() => resolve('done')));
    },
    end: () => {
      for (const end of ends.splice(0)) end();
    },
  };
  return task;
}

describe('the calls to a back end that hangs', () => {
  test('are no more than may be, and the rest is refused at once: to a user who has too many, and to all', async () => {
    const queue = createCallQueue(LIMITS);
    const { work } = hanging();
    const outcomes: string[] = [];
    const run = (user: string): void =>
      void queue.run(user, work).then(
        () => outcomes.push(`${user} done`),
        (error: unknown) => outcomes.push(`${user} ${String(codeOf(error))}`),
      );
    for (let n = 0; n < 5; n += 1) run('alice');
    await until('the one too many', () => outcomes.length === 1);
    expect(outcomes).toEqual(['alice RATE_LIMITED']);
    for (const user of ['bob', 'bob', 'bob', 'carol']) run(user);
    await until('the one too many of all', () => outcomes.length === 2);
    expect(outcomes.at(-1)).toBe('carol API_UNAVAILABLE');
  });

  test('wait no longer than they may, and make room then', async () => {
    const queue = createCallQueue({ ...LIMITS, atOnce: 1, maxWaitMs: 20 });
    const task = hanging();
    const first = queue.run('alice', task.work);
    await until('the first to begin', () => task.begun === 1);
    const late = await queue.run('bob', task.work).catch((error: unknown) => error);
    expect(late).toMatchObject({ code: 'API_UNAVAILABLE', retryable: true, retryAfterMs: expect.any(Number) });
    task.end();
    expect(await first).toBe('done');
    const next = queue.run('bob', task.work);
    await until('the next to begin', () => task.begun === 2);
    task.end();
    expect(await next).toBe('done');
  });
});

test('questions that wait for an answer are bounded, those with one key too, and count until they are answered', async () => {
  const task = hanging();
  const limits = { maxItems: 10, maxWeight: 10, weigh: () => 1, intervalMs: 1, maxAsked: 3, maxAskedPerKey: 2 };
  const ask = createRequestBatcher({ ...limits, keyOf: (item: string) => item }, async (items: readonly string[]) => {
    await task.work();
    return items;
  });
  const codes = async (...items: string[]): Promise<unknown[]> =>
    Promise.all(items.map(async (item) => ask(item).catch(codeOf)));
  const asked = codes('a', 'a', 'a', 'b', 'c');
  await until('the question', () => task.begun === 1);
  expect(await codes('a', 'c')).toEqual(['RATE_LIMITED', 'API_UNAVAILABLE']);
  task.end();
  expect(await asked).toEqual(['a', 'a', 'RATE_LIMITED', 'b', 'API_UNAVAILABLE']);
  const again = codes('a', 'a', 'c');
  await until('the next question', () => task.begun === 2);
  task.end();
  expect(await again).toEqual(['a', 'a', 'c']);
});
