import { until } from '@groupcast/testing';
import { describe, expect, test } from 'vitest';
import { createFairQueue, type FairQueue, type Ticket } from '../src/fair-queue.ts';

/** Joins, and writes down when its turn has come. */
function enter(queue: FairQueue, key: string, begun: string[], name = key): Ticket {
  const ticket = queue.join(key);
  void ticket.turn.then(() => begun.push(name));
  return ticket;
}

const codeOf = (work: () => unknown): unknown => {
  try {
    work();
    return 'none';
  } catch (error) {
    return (error as { code?: unknown }).code;
  }
};

describe('a fair queue', () => {
  test('has a bounded number of a key, and of all, in work, and refuses above what may wait', async () => {
    const queue = createFairQueue({ total: 3, perKey: 2, queuePerKey: 1 });
    const begun: string[] = [];
    const [a1] = [enter(queue, 'a', begun), enter(queue, 'a', begun), enter(queue, 'a', begun, 'a3')];
    expect(codeOf(() => queue.join('a'))).toBe('RATE_LIMITED');
    enter(queue, 'b', begun);
    enter(queue, 'c', begun);
    await until('the first to begin', () => begun.length === 3);
    expect([queue.working, queue.waiting, begun]).toEqual([3, 2, ['a', 'b', 'c']]);
    expect(codeOf(() => queue.join('a'))).toBe('RATE_LIMITED');
    a1?.leave();
    a1?.leave();
    await until('the next to begin', () => begun.length === 4);
    expect([queue.working, queue.waiting]).toEqual([3, 1]);
  });

  test('serves no request in the turn of the event loop in which it comes, so that all requests of that turn are heard first', async () => {
    const queue = createFairQueue({ total: 10, perKey: 1, queuePerKey: 0 });
    const begun: string[] = [];
    const flood = Array.from({ length: 5 }, () => codeOf(() => enter(queue, 'flood', begun)));
    for (let n = 0; n < 100; n += 1) await Promise.resolve();
    expect([begun, flood]).toEqual([[], ['none', 'RATE_LIMITED', 'RATE_LIMITED', 'RATE_LIMITED', 'RATE_LIMITED']]);
    await until('the one to begin', () => begun.length === 1);
  });

  test('gives keys their turns one after the other, however long the queue of one is', async () => {
    const queue = createFairQueue({ total: 1, perKey: 1, queuePerKey: 100 });
    const begun: string[] = [];
    const tickets = [
      ...Array.from({ length: 50 }, (_, n) => enter(queue, 'flood', begun, `flood ${n}`)),
      ...['b', 'c', 'd'].map((key) => enter(queue, key, begun)),
      enter(queue, 'b', begun, 'b again'),
    ];
    const byName = new Map(
      tickets.map((ticket, n) => [n < 50 ? `flood ${n}` : ['b', 'c', 'd', 'b again'][n - 50], ticket]),
    );
    for (let served = 1; served <= tickets.length; served += 1) {
      await until(`number ${served}`, () => begun.length === served);
      byName.get(begun.at(-1) ?? '')?.leave();
    }
    expect(begun.slice(0, 8)).toEqual(['flood 0', 'b', 'c', 'd', 'flood 1', 'b again', 'flood 2', 'flood 3']);
    await until('nobody to be left', () => queue.working === 0 && queue.waiting === 0);
  });

  test('lets no newcomer pass those that wait', async () => {
    const queue = createFairQueue({ total: 1, perKey: 1, queuePerKey: 10 });
    const begun: string[] = [];
    const first = enter(queue, 'a', begun);
    enter(queue, 'b', begun);
    await until('a to begin', () => begun.length === 1);
    first.leave();
    // The place is free, and given to the one that waits in a later turn.
    enter(queue, 'c', begun);
    await until('b to begin', () => begun.length === 2);
    expect(begun).toEqual(['a', 'b']);
  });

  test('forgets those that left while they waited', async () => {
    const queue = createFairQueue({ total: 1, perKey: 1, queuePerKey: 10 });
    const begun: string[] = [];
    const first = enter(queue, 'a', begun);
    const gone = enter(queue, 'a', begun, 'gone');
    enter(queue, 'a', begun, 'last');
    gone.leave();
    await until('the first to begin', () => begun.length === 1);
    first.leave();
    await until('the last to begin', () => begun.includes('last'));
    expect([begun, queue.waiting]).toEqual([['a', 'last'], 0]);
  });
});
