import { describe, expect, test } from 'vitest';
import { isBehind, judgeArrival } from '../src/feed/arrival.ts';

const at = (text: string): { epoch: string; seq: number } => {
  const [epoch = '', seq] = text.split(' ');
  return { epoch, seq: Number(seq) };
};

describe('an event that comes to a node', () => {
  test.each([
    ['2-a 5', '2-a 6', 'deliver'],
    ['2-a 5', '2-a 5', 'known'],
    ['2-a 5', '2-a 1', 'known'],
    ['2-a 5', '2-a 7', 'hold'],
    // The first of a new epoch, and one before which others may have been numbered.
    ['2-a 5', '3-b 1', 'deliver'],
    ['2-a 5', '3-b 2', 'hold'],
    // Two epochs of one generation: neither replaces the other.
    ['2-a 5', '2-b 9', 'deliver'],
    // The fan-out gives it to nobody.
    ['2-a 5', '1-b 6', 'deliver'],
  ])('while the cursor is at %s, with %s: %s', (cursor, position, verdict) => {
    for (const awaitsBeginning of [false, true]) {
      expect(judgeArrival(at(cursor), at(position), { awaitsBeginning })).toBe(verdict);
    }
  });

  test('in a group without a cursor waits only where members await the beginning, and is not the first', () => {
    const verdicts = [false, true].map((awaitsBeginning) =>
      ['1-a 1', '1-a 2'].map((position) => judgeArrival(null, at(position), { awaitsBeginning })),
    );
    expect(verdicts).toEqual([
      ['deliver', 'deliver'],
      ['deliver', 'hold'],
    ]);
  });

  test('without a position goes on, whatever the cursor is', () => {
    for (const cursor of [null, at('1-a 1')]) {
      expect(judgeArrival(cursor, null, { awaitsBeginning: true })).toBe('deliver');
    }
  });
});

describe('a node is behind a log', () => {
  test.each([
    ['2-a 5', '2-a 6', true],
    ['2-a 5', '2-a 9', true],
    ['2-a 5', '2-a 5', false],
    ['2-a 5', '2-a 4', false],
    ['2-a 5', '3-b 1', true],
    ['2-a 5', '2-b 9', false],
    ['2-a 5', '1-b 9', false],
  ])('at %s, where the log is at %s: %s', (cursor, head, behind) => {
    expect(isBehind(at(cursor), at(head))).toBe(behind);
  });

  test('that knows the group, where the node has no cursor', () => {
    expect(isBehind(null, at('1-a 1'))).toBe(true);
  });
});
