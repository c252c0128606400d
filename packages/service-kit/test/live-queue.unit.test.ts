import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { LiveQueue } from '../src/live-queue.ts';

interface Entry {
  id: number;
  over: boolean;
}
const create = (): LiveQueue<Entry> => new LiveQueue(({ over }) => over);

describe('a queue of entries that may be over', () => {
  test('gives and keeps what an array without them would', () => {
    const moves = fc.array(fc.tuple(fc.constantFrom('push', 'oldest', 'newest', 'end'), fc.nat(60)), {
      maxLength: 800,
      size: 'max',
    });
    fc.assert(
      fc.property(moves, (steps) => {
        const queue = create();
        let model: Entry[] = [];
        const taken: (Entry | undefined)[] = [];
        const expected: (Entry | undefined)[] = [];
        for (const [id, [move, index]] of steps.entries()) {
          if (move === 'push') {
            for (let count = 0; count <= index; count += 1) {
              const entry = { id: id * 100 + count, over: false };
              queue.push(entry);
              model.push(entry);
            }
          } else if (move === 'end') {
            const entry = model[index];
            if (entry) entry.over = true;
            model = model.filter(({ over }) => !over);
          } else {
            taken.push(move === 'oldest' ? queue.takeOldest() : queue.takeNewest());
            expected.push(move === 'oldest' ? model.shift() : model.pop());
          }
        }
        for (const entry of model) {
          taken.push(queue.takeOldest());
          expected.push(entry);
        }
        expect(taken).toEqual(expected);
        expect([queue.takeOldest(), queue.takeNewest(), queue.size]).toEqual([undefined, undefined, 0]);
      }),
      { numRuns: 20 },
    );
  });

  test('does not keep those that are over, though nobody takes any', () => {
    const queue = create();
    for (let id = 0; id < 100_000; id += 1) queue.push({ id, over: true });
    expect(queue.size).toBeLessThanOrEqual(1_024);
    const live = Array.from({ length: 3_000 }, (_, id) => ({ id, over: false }));
    for (const entry of live) queue.push(entry);
    for (let id = 0; id < 100_000; id += 1) queue.push({ id, over: true });
    expect(queue.size).toBeLessThanOrEqual(9_000);
    expect(live.map(() => queue.takeOldest())).toEqual(live);
  });

  test('does not keep the places of those that were taken', () => {
    const queue = create();
    for (let id = 0; id < 10; id += 1) queue.push({ id, over: false });
    for (let id = 10; id < 50_000; id += 1) {
      queue.push({ id, over: false });
      queue.takeOldest();
    }
    expect(queue.takeOldest()?.id).toBe(49_990);
    expect(queue.size).toBe(9);
    expect((queue as unknown as { entries: unknown[] }).entries.length).toBeLessThan(3_000);
  });
});
