import { describe, expect, test } from 'vitest';
import { createOffsets, epochTagOf, isOffset, ofPart, readOffset, tagOf, unseal } from '../src/sessions/offsets.ts';

const EPOCH = '1796000558-8be704eacf81';
const position = (seq: number) => ({ epoch: EPOCH, seq });

describe('offsets', () => {
  test('say a number, which only their own process reads', () => {
    const [own, other] = [createOffsets('own-one'), createOffsets('another')];
    expect(own.at(46_655)).toBe('own-one.zzz');
    expect(own.read(own.at(46_655))).toEqual({ prefix: 'own-one.', number: 46_655 });
    expect(other.read(own.at(1))).toBeUndefined();
    expect(readOffset(own.at(1))).toEqual({ prefix: 'own-one.', number: 1 });
  });

  test('say where the node stands in the group of their event, and in those that are not written down, to who has the key', () => {
    const offsets = createOffsets('own-one');
    offsets.sayUnwritten(() => ({
      upTo: 5,
      groups: [
        ['g', position(6)],
        ['h', position(2 ** 40)],
      ],
    }));
    const text = offsets.at(9, ['g', position(7)]);
    const read = readOffset(text) ?? { number: 0 };
    const { key } = offsets;
    expect(unseal(read, key)).toEqual({
      places: [
        { tag: tagOf('g', key), epochTag: epochTagOf(EPOCH, key), seq: 7 },
        { tag: tagOf('h', key), epochTag: epochTagOf(EPOCH, key), seq: 2 ** 40 },
      ],
      isComplete: true,
      upTo: 5,
    });
    const { key: otherKey } = createOffsets();
    expect(unseal(read, otherKey)?.places.some(({ seq }) => seq === 7)).not.toBe(true);
    expect(offsets.at(10, ['g', position(7)]).slice(-18)).not.toBe(text.slice(-18));
    expect(tagOf('g', key)).not.toBe(tagOf('g', otherKey));
  });

  test.each<[string, number, boolean, (readonly [string, ReturnType<typeof position> | null])[]]>([
    ['five groups', 5, true, ['a', 'b', 'c', 'd'].map((groupId) => [groupId, position(1)])],
    ['six groups', 5, false, ['a', 'b', 'c', 'd', 'e'].map((groupId) => [groupId, position(1)])],
    ['a group whose events have no position', 1, false, [['a', null]]],
  ])('of %s name %d, and say whether that is all: %s', (_, count, isComplete, others) => {
    const offsets = createOffsets();
    offsets.sayUnwritten(() => ({ upTo: 0, groups: others }));
    const text = offsets.at(2 ** 46, ['g', position(7)]);
    const said = unseal(readOffset(text) ?? { number: 0 }, offsets.key);
    expect([said?.places.length, said?.isComplete]).toEqual([count, isComplete]);
    expect(text.length).toBeLessThan(128);
  });

  test('of an event without a position say no place, and not that that is all', () => {
    const offsets = createOffsets();
    offsets.sayUnwritten(() => ({ upTo: 0, groups: [] }));
    const text = offsets.at(9, ['g', null]);
    expect(unseal(readOffset(text) ?? { number: 0 }, offsets.key)).toEqual({ places: [], isComplete: false, upTo: 0 });
    expect(isOffset(text)).toBe(true);
  });

  test.each([
    ['a plain one', 'own-one.9', true],
    ['one of a part', ofPart('own-one.9'), true],
    ['one among missed events', 'own-one.9-0-1z', true],
    ['a sealed one', 'own-one.9.AbC-_9AbC-_9', true],
    ['a text of the application', 'see you at 7.', false],
    ['half of one', 'own-one.9-0', false],
    ['a long one', `own-one.${'9'.repeat(12)}`, false],
    ['nothing', '', false],
  ])('are known by their form: %s', (_, text, is) => expect(isOffset(text)).toBe(is));

  test.each(['', 'AA', 'AAAAAAAAAAAAAAAAAAAA', 'A'.repeat(98)])(
    'that somebody has made up say nothing: %j',
    (sealed) => {
      expect(() => unseal({ number: 2 ** 47, sealed }, createOffsets().key)).not.toThrow();
      for (const number of [2 ** 48, 36 ** 11]) expect(unseal({ number, sealed }, createOffsets().key)).toBeUndefined();
    },
  );
});
