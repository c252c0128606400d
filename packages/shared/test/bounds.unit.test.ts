import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import * as shared from '../src/index.ts';
import { boundedArray, boundedRecord, boundIssues, parsePayload, resumeSchema } from '../src/index.ts';

describe('a bound', () => {
  function parsing(): { seen: number; item: z.ZodType<string> } {
    const state = { seen: 0, item: z.string() as z.ZodType<string> };
    state.item = z.string().refine(() => {
      state.seen += 1;
      return false;
    });
    return state;
  }

  test('of an array is looked at before its items are', () => {
    const state = parsing();
    const schema = boundedArray(state.item, { max: 3 });
    expect(schema.safeParse(['a', 'b', 'c', 'd']).error?.issues).toEqual([
      expect.objectContaining({ message: 'must have at most 3 items' }),
    ]);
    expect(state.seen).toBe(0);
    expect(schema.safeParse(['a', 'b', 'c']).error?.issues).toHaveLength(3);
  });

  test('of a record is looked at before its keys and values are', () => {
    const state = parsing();
    const schema = boundedRecord(z.string().max(9), state.item, { max: 2 });
    expect(schema.safeParse({ a: '1', b: '2', c: '3' }).error?.issues).toEqual([
      expect.objectContaining({ message: 'must have at most 2 keys' }),
    ]);
    expect(state.seen).toBe(0);
    expect(boundedRecord(z.string().max(9), z.int(), { max: 2 }).parse({ a: 1, b: 2 })).toEqual({ a: 1, b: 2 });
  });

  test('of positions holds, and so does the number of those that are named when they are wrong', () => {
    const positions = (count: number, position: unknown): object =>
      Object.fromEntries(Array.from({ length: count }, (_, index) => [`g${index}`, position]));
    expect(resumeSchema.safeParse({ positions: positions(shared.MAX_POSITIONS + 1, {}) }).error?.issues).toHaveLength(
      1,
    );
    expect(resumeSchema.safeParse({ positions: positions(1_000, {}) }).error?.issues).toHaveLength(10);
    expect(resumeSchema.parse({ positions: positions(1_000, { epoch: '1-a', seq: 0 }) }).positions.size).toBe(1_000);
  });
});

describe('positions are read by hand as their schema would', () => {
  test.each([
    [{ epoch: '1-a', seq: 0 }],
    [{ epoch: '1-a', seq: Number.MAX_SAFE_INTEGER }],
    [{ epoch: '1-a', seq: -1 }],
    [{ epoch: '1-a', seq: 1.5 }],
    [{ epoch: '1-a', seq: '1' }],
    [{ epoch: '1-a', seq: 2 ** 53 }],
    [{ epoch: '01-a', seq: 1 }],
    [{ epoch: 1, seq: 1 }],
    [{ seq: 1 }],
    [null],
    ['1-a'],
    [[]],
  ])('%j', (position) => {
    expect(shared.parsePosition(position)).toEqual(shared.positionSchema.safeParse(position).data);
  });
});

describe('an error', () => {
  test('names at most ten issues, and no key of a megabyte (G49)', () => {
    const schema = z.object({ list: z.array(z.int()).max(2_000) });
    const wrong = { list: Array.from({ length: 1_000 }, () => 'x') };
    let caught: unknown;
    try {
      parsePayload(schema, wrong, 'it');
    } catch (error) {
      caught = error;
    }
    const { details } = caught as shared.GroupcastError;
    expect(details).toMatchObject({ issueCount: 1_000 });
    expect(details?.['issues']).toHaveLength(10);
    const { issues } = boundIssues(
      [{}],
      () => 'k'.repeat(1_000_000),
      () => 'm'.repeat(1_000),
    );
    expect(JSON.stringify(issues).length).toBeLessThan(500);
  });
});
