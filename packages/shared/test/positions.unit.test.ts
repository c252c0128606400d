import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { broadcastSchema, epochSchema, generationOf, makeEpoch, positionSchema, seqSchema } from '../src/index.ts';

const aGeneration = fc.integer({ min: 0, max: 999_999_999_999_999 });

describe('epochs', () => {
  test('what makeEpoch makes is an epoch, and tells its generation', () => {
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
