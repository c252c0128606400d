import { describe, expect, test } from 'vitest';
import { createOffsets, epochTagOf, isOffset, ofPart, readOffset, tagOf } from '../src/sessions/offsets.ts';

const EPOCH = '1796000558-8be704eacf81';
const position = (seq: number) => ({ epoch: EPOCH, seq });

describe('offsets', () => {
  test('say a number, which only their own process reads', () => {
    const [own, other] = [createOffsets('own-one'), createOffsets('another')];
    expect(own.at(46_655)).toBe('own-one.zzz');
    expect(own.read(own.at(46_655))).toMatchObject({ number: 46_655, places: [], isComplete: false });
    expect(other.read(own.at(1))).toBeUndefined();
    expect(readOffset(own.at(1))).toMatchObject({ prefix: 'own-one.', number: 1 });
  });

  test('say where the node stands in the group of their event, and in those that are not written down', () => {
    const offsets = createOffsets('own-one');
    offsets.sayUnwritten(() => [
      ['g', position(6)],
      ['h', position(40)],
    ]);
    const read = offsets.read(offsets.at(9, ['g', position(7)]));
    expect(read).toMatchObject({ number: 9, isComplete: true });
    expect(read?.places).toEqual([
      { tag: tagOf('g'), epochTag: epochTagOf(EPOCH), seq: 7 },
      { tag: tagOf('h'), epochTag: epochTagOf(EPOCH), seq: 40 },
    ]);
  });

  test.each<[string, number, boolean, (readonly [string, ReturnType<typeof position> | null])[]]>([
    ['five groups', 5, true, ['a', 'b', 'c', 'd'].map((groupId) => [groupId, position(1)])],
    ['six groups', 5, false, ['a', 'b', 'c', 'd', 'e'].map((groupId) => [groupId, position(1)])],
    ['a group whose events have no position', 1, false, [['a', null]]],
  ])('of %s name %d, and say whether that is all: %s', (_, count, isComplete, others) => {
    const offsets = createOffsets();
    offsets.sayUnwritten(() => others);
    const read = offsets.read(offsets.at(9, ['g', position(7)]));
    expect([read?.places.length, read?.isComplete]).toEqual([count, isComplete]);
  });

  test('of an event without a position say no place, and not that that is all', () => {
    const offsets = createOffsets();
    offsets.sayUnwritten(() => []);
    const text = offsets.at(9, ['g', null]);
    expect(offsets.read(text)).toMatchObject({ number: 9, places: [], isComplete: false });
    expect(isOffset(text)).toBe(true);
  });

  test.each([
    ['a plain one', 'own-one.9', true],
    ['one of a part', ofPart('own-one.9'), true],
    ['one among missed events', 'own-one.9-0-1z', true],
    ['one with places', 'own-one.9_abc_z_1_def_z_2', true],
    ['a text of the application', 'see you at 7.', false],
    ['half a place', 'own-one.9_abc', false],
    ['a long one', `own-one.${'9'.repeat(12)}`, false],
    ['nothing', '', false],
  ])('are known by their form: %s', (_, text, is) => expect(isOffset(text)).toBe(is));
});
