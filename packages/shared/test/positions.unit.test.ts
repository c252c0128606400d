import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  broadcastSchema,
  epochSchema,
  generationOf,
  isAfter,
  isBefore,
  makeEpoch,
  type Position,
  type PositionRelation,
  positionSchema,
  relationOf,
  seqSchema,
} from '../src/index.ts';

const aGeneration = fc.integer({ min: 0, max: 999_999_999_999_999 });

describe('epochs', () => {
  test('makeEpoch makes an epoch, which tells its generation', () => {
    const random = fc.stringMatching(/^[A-Za-z0-9_]{1,64}$/);
    fc.assert(
      fc.property(aGeneration, random, (generation, tail) => {
        const epoch = makeEpoch(generation, tail);
        expect(epochSchema.parse(epoch)).toBe(epoch);
        expect(generationOf(epoch)).toBe(generation);
      }),
    );
  });

  test('generations compare as numbers: 10 replaces 9', () => {
    expect(generationOf('10-a')).toBeGreaterThan(generationOf('9-z'));
  });

  test.each([
    '',
    '1',
    '1-',
    '-a',
    'a-1',
    '01-a',
    '-1-a',
    '1.5-a',
    '1e3-a',
    '1-a b',
    '1-a\n',
    '1-ä',
    '1-a-b',
    '1000000000000000-a',
    `1-${'x'.repeat(65)}`,
  ])('"%s" is none', (epoch) => {
    expect(epochSchema.safeParse(epoch).success).toBe(false);
  });

  test.each([1, null, undefined, {}, ['1-a']])('%s is none', (epoch) => {
    expect(epochSchema.safeParse(epoch).success).toBe(false);
  });

  test('every generation that is accepted is a number that counts exactly', () => {
    fc.assert(
      fc.property(fc.stringMatching(/^\d{1,20}-[a-z]$/), (epoch) => {
        if (!epochSchema.safeParse(epoch).success) return;
        expect(`${generationOf(epoch)}-`).toBe(epoch.slice(0, -1));
      }),
    );
  });
});

describe('positions', () => {
  test('an event stands at 1 or later, a reader may stand at 0', () => {
    expect(seqSchema.safeParse(0).success).toBe(false);
    expect(seqSchema.parse(1)).toBe(1);
    expect(positionSchema.parse({ epoch: '1-a', seq: 0 })).toEqual({ epoch: '1-a', seq: 0 });
  });

  test.each([-1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, Number.MAX_SAFE_INTEGER + 1, '1', null, [1], {}])(
    '%s is no seq',
    (seq) => {
      expect(seqSchema.safeParse(seq).success).toBe(false);
      expect(positionSchema.safeParse({ epoch: '1-a', seq }).success).toBe(false);
    },
  );

  test('of a broadcast come together or not at all', () => {
    const input = { groupId: 1, message: {} };
    expect(broadcastSchema.safeParse(input).success).toBe(true);
    expect(broadcastSchema.safeParse({ ...input, epoch: '1-a', seq: 1 }).success).toBe(true);
    expect(broadcastSchema.safeParse({ ...input, epoch: '1-a' }).success).toBe(false);
    expect(broadcastSchema.safeParse({ ...input, seq: 1 }).success).toBe(false);
  });
});

describe('how a position stands to a cursor', () => {
  const at = (epoch: string, seq: number): Position => ({ epoch, seq });

  test.each<[PositionRelation, cursor: Position, position: Position, why: string]>([
    ['next', at('3-a', 7), at('3-a', 8), 'the event that follows'],
    ['next', at('3-a', 0), at('3-a', 1), 'the first event, for a reader who has none'],
    ['behind', at('3-a', 7), at('3-a', 7), 'the event that was taken last, a second time'],
    ['behind', at('3-a', 7), at('3-a', 1), 'an event from long ago'],
    ['behind', at('3-a', 7), at('3-a', 0), 'the beginning'],
    ['ahead', at('3-a', 7), at('3-a', 9), 'one event is missing'],
    ['ahead', at('3-a', 0), at('3-a', 1_000_000), 'many are'],
    ['older', at('3-a', 7), at('2-a', 8), 'a lower generation, although its seq would be the next'],
    ['older', at('10-a', 1), at('9-z', 900), 'generations are numbers: 9 is below 10'],
    ['newer', at('3-a', 7), at('4-a', 1), 'a higher generation, although it begins at 1'],
    ['newer', at('9-z', 900), at('10-a', 1), 'generations are numbers: 10 is above 9'],
    ['newer', at('3-a', 7), at('3-b', 8), 'the same generation, opened by somebody else'],
    ['newer', at('3-b', 7), at('3-a', 3), 'whichever of the two comes first in the alphabet'],
  ])('%s: from %j, %j (%s)', (relation, cursor, position) => {
    expect(relationOf(cursor, position)).toBe(relation);
  });

  const aPosition = fc
    .record({ generation: fc.integer({ min: 0, max: 3 }), tail: fc.constantFrom('a', 'b'), seq: fc.nat({ max: 4 }) })
    .map(({ generation, tail, seq }) => at(makeEpoch(generation, tail), seq));

  test('and the other way round fit together, for any two', () => {
    fc.assert(
      fc.property(aPosition, aPosition, (a, b) => {
        const [there, back] = [relationOf(a, b), relationOf(b, a)];
        if (a.epoch === b.epoch) {
          expect(there === 'behind' || back === 'behind').toBe(true);
          expect(there === 'behind' && back === 'behind').toBe(a.seq === b.seq);
        } else expect([there, back].every((relation) => relation === 'older' || relation === 'newer')).toBe(true);
        expect(there === 'older' && back === 'older').toBe(false);
        expect(isAfter(b, a)).toBe(there === 'next' || there === 'ahead');
      }),
    );
  });

  test('agrees with isBefore, which sorts positions of different generations too', () => {
    fc.assert(
      fc.property(aPosition, aPosition, (a, b) => {
        const isOneHistory = a.epoch === b.epoch || generationOf(a.epoch) !== generationOf(b.epoch);
        fc.pre(isOneHistory);
        expect(isBefore(a, b)).toBe(['next', 'ahead', 'newer'].includes(relationOf(a, b)));
      }),
    );
  });
});
