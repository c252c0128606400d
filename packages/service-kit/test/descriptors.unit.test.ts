import { describe, expect, test } from 'vitest';
import { connectionBudget, MAX_CONNECTIONS } from '../src/descriptors.ts';

const budget = (descriptors: number, files = 0): ReturnType<typeof connectionBudget> =>
  connectionBudget(MAX_CONNECTIONS.max, { descriptors, files });

describe('the places of a process', () => {
  test.each([
    [64, { public: 32, internal: 16 }],
    [256, { public: 128, internal: 64 }],
    [1_024, { public: 896, internal: 64 }],
    [4_096, { public: 3_584, internal: 256 }],
    [20_000, { public: 18_976, internal: 512 }],
    [1_048_576, { public: MAX_CONNECTIONS.max, internal: 512 }],
  ])('with %i descriptors', (descriptors, expected) => {
    expect(budget(descriptors)).toEqual(expected);
  });

  test('leave room for files', () => {
    expect(budget(4_096, 256).public).toBe(budget(4_096).public - 256);
    expect(budget(256, 256).public).toBe(128);
  });

  test('are fewer where that was asked for, and never more', () => {
    expect(connectionBudget(500, { descriptors: 1_024 }).public).toBe(500);
    expect(connectionBudget(5_000, { descriptors: 1_024 }).public).toBe(896);
  });

  test('follow the limit of this process', () => {
    const { public: places } = connectionBudget(MAX_CONNECTIONS.max);
    expect(places).toBeGreaterThan(0);
    expect(places).toBeLessThanOrEqual(MAX_CONNECTIONS.max);
  });
});
