import { expect, test } from 'vitest';
import { thisMoment } from '../src/environment.ts';
import { createListUpkeep } from '../src/groups/list-upkeep.ts';
import { manualClock } from './manual-clock.ts';

function setUp() {
  const delays: number[] = [];
  const clock = manualClock();
  const list = createListUpkeep({
    groups: { refreshWithin: (delayMs) => delays.push(delayMs) },
    random: () => 0.5,
    clock,
  });
  return { clock, delays, list };
}

/** A moment that lies this far back. */
function ago(ms: number) {
  const { wall, monotonic } = thisMoment();
  return { wall: wall - ms, monotonic: monotonic - ms };
}

test('after a short absence the list is read on the next occasion, and after a long one at once', () => {
  const { clock, delays, list } = setUp();
  list.opened();
  list.onOccasion();
  list.down(ago(3_000));
  list.onOccasion();
  list.opened();
  expect(delays).toEqual([]);
  list.onOccasion();
  expect(delays).toEqual([1_000]);
  list.wasRead(clock.now());
  list.onOccasion();
  list.down(ago(16_000));
  expect(delays.length).toBe(1);
  list.opened();
  expect(delays.length).toBe(2);
});

test('a list that could not be read stays old', () => {
  const { delays, list } = setUp();
  list.down(ago(0));
  list.opened();
  for (let n = 0; n < 3; n += 1) list.onOccasion();
  expect(delays.length).toBe(3);
});

test('a list that was asked for before the absence says nothing of it', async () => {
  const { clock, delays, list } = setUp();
  const begunAt = clock.now();
  await clock.advance(10);
  list.down(ago(0));
  list.opened();
  list.wasRead(begunAt);
  list.onOccasion();
  expect(delays).toEqual([1_000]);
});
