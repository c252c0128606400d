import { expect, test } from 'vitest';
import { createUnfinished, type Holder } from '../src/engine/unfinished.ts';

function holders(count: number): { cut: number[]; all: Holder[] } {
  const cut: number[] = [];
  return { cut, all: Array.from({ length: count }, (_, index) => ({ cutUnfinished: () => void cut.push(index) })) };
}

test('held bytes count for each holder once, and are given back', () => {
  const unfinished = createUnfinished();
  const { all } = holders(2);
  const [one, two] = all as [Holder, Holder];
  unfinished.hold(one, 10);
  unfinished.hold(two, 5);
  unfinished.hold(one, 30);
  expect(unfinished.bytes).toBe(35);
  unfinished.hold(one, 0);
  unfinished.hold(one, 0);
  expect(unfinished.bytes).toBe(5);
});

test('above the limit there is no room, until somebody who has held something for long makes it', () => {
  const patient = createUnfinished(60_000);
  const { all, cut } = holders(3);
  patient.limit = 100;
  for (const holder of all) patient.hold(holder, 50);
  expect(patient.makeRoom()).toBe(false);
  expect(cut).toEqual([]);

  const impatient = createUnfinished(0);
  let told = 0;
  impatient.limit = 100;
  impatient.onCut = () => {
    told += 1;
  };
  for (const holder of all) impatient.hold(holder, 50);
  expect(impatient.makeRoom()).toBe(true);
  expect(cut).toEqual([0, 1]);
  expect(told).toBe(2);
  expect(impatient.bytes).toBe(50);
});

test('a holder that has finished in between is as new as one that came first', () => {
  const unfinished = createUnfinished(0);
  const { all, cut } = holders(2);
  const [one, two] = all as [Holder, Holder];
  unfinished.limit = 100;
  unfinished.hold(one, 50);
  unfinished.hold(two, 60);
  unfinished.hold(one, 0);
  unfinished.hold(one, 60);
  unfinished.keepLimit();
  expect(cut).toEqual([1]);
});

test('holders of little make room last: a client on a slow line is no attacker', () => {
  const unfinished = createUnfinished(0);
  const { all, cut } = holders(3);
  const [slow, large, larger] = all as [Holder, Holder, Holder];
  unfinished.limit = 100_000;
  unfinished.hold(slow, 20_000);
  unfinished.hold(large, 60_000);
  unfinished.hold(larger, 90_000);
  unfinished.keepLimit();
  expect(cut).toEqual([1, 2]);
  unfinished.limit = 10_000;
  unfinished.keepLimit();
  expect(cut).toEqual([1, 2, 0]);
});
