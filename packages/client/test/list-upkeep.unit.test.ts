import { expect, test } from 'vitest';
import { thisMoment } from '../src/environment.ts';
import { createListUpkeep } from '../src/groups/list-upkeep.ts';

function setUp() {
  const delays: number[] = [];
  const list = createListUpkeep({ groups: { refreshWithin: (delayMs) => delays.push(delayMs) }, random: () => 0.5 });
  return { delays, list };
}

/** A moment that lies this far back. */
function ago(ms: number) {
  const { wall, monotonic } = thisMoment();
  return { wall: wall - ms, monotonic: monotonic - ms };
}

test('after a short absence the list is read on the next occasion, and after a long one at once', () => {
  const { delays, list } = setUp();
  list.opened();
  list.onOccasion();
  list.down(ago(3_000));
  list.onOccasion();
  list.opened();
  expect(delays).toEqual([]);
  list.onOccasion();
  expect(delays).toEqual([1_000]);
  list.wasRead();
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
