import { expect, test } from 'vitest';
import { meanRatio, median, spreadOf } from '../statistics.ts';
import { ratioOf } from '../targets.ts';

test.each([
  [[3], 3],
  [[9, 1, 5], 5],
  [[4, 1, 3, 2], 2.5],
  [[], Number.NaN],
])('the median of %j is %d', (values, expected) => {
  expect(median(values)).toBe(expected);
});

test('percentiles are values that were measured', () => {
  const latencies = Array.from({ length: 200 }, (_, n) => 200 - n);
  expect(spreadOf(latencies)).toEqual({ p50Ms: 100, p99Ms: 198, maxMs: 200 });
  expect(spreadOf([7])).toEqual({ p50Ms: 7, p99Ms: 7, maxMs: 7 });
});

test('ratios are taken within each repetition', () => {
  // The machine was ten times slower in the second one: for both.
  expect(ratioOf([10, 100, 12], [5, 50, 4])).toBe(2);
});

test('the mean of ratios lies between its bounds, which are as wide as the ratios differ', () => {
  const { mean, from, to } = meanRatio([0.5, 2]);
  expect([mean, to / from]).toEqual([expect.closeTo(1), expect.closeTo(Math.exp(2 * 12.71 * Math.log(2)), -2)]);
  const equal = meanRatio([1.25, 1.25, 1.25]);
  expect([equal.mean, equal.from, equal.to]).toEqual([1.25, 1.25, 1.25].map((each) => expect.closeTo(each)));
});
