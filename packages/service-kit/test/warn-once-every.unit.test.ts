import { beforeEach, describe, expect, test, vi } from 'vitest';
import { warnOnceEvery } from '../src/index.ts';

describe('a warning about the same thing', () => {
  let clock = 0;
  let written: [string, number][] = [];
  let warn: (key: string) => void;

  beforeEach(() => {
    clock = 1_000;
    written = [];
    const once = warnOnceEvery(60_000, () => clock);
    warn = (key) => once(key, (suppressed) => written.push([key, suppressed]));
  });

  test('is written at once, and then held back', () => {
    for (let call = 0; call < 5; call += 1) warn('a');
    clock += 59_999;
    warn('a');
    expect(written).toEqual([['a', 0]]);
  });

  test('is written again after the interval, with how many were held back', () => {
    for (let call = 0; call < 5; call += 1) warn('a');
    clock += 60_000;
    warn('a');
    clock += 60_000;
    warn('a');
    expect(written).toEqual([
      ['a', 0],
      ['a', 4],
      ['a', 0],
    ]);
  });

  test('holds no other back', () => {
    warn('a');
    warn('b');
    warn('a');
    warn('b');
    expect(written).toEqual([
      ['a', 0],
      ['b', 0],
    ]);
  });

  test('is remembered among ten thousand others; beyond that the oldest is forgotten', () => {
    warn('first');
    warn('second');
    for (let key = 0; key < 9_998; key += 1) warn(`other-${key}`);
    written = [];
    warn('first');
    expect(written).toEqual([]);
    warn('one too many');
    written = [];
    warn('second');
    expect(written).toEqual([]);
    warn('first');
    expect(written).toEqual([['first', 0]]);
  });

  test('that was written again is young again', () => {
    warn('first');
    warn('second');
    clock += 60_000;
    warn('first');
    for (let key = 0; key < 9_999; key += 1) warn(`other-${key}`);
    written = [];
    warn('first');
    warn('second');
    expect(written).toEqual([['second', 0]]);
  });
});

test('a wall clock that is set back an hour silences no warning', () => {
  vi.useFakeTimers({ toFake: ['Date', 'performance'] });
  const written: number[] = [];
  const warn = warnOnceEvery(60_000);
  warn('a', (suppressed) => written.push(suppressed));
  vi.setSystemTime(Date.now() - 3_600_000);
  vi.advanceTimersByTime(60_000);
  warn('a', (suppressed) => written.push(suppressed));
  vi.useRealTimers();
  expect(written).toEqual([0, 0]);
});
