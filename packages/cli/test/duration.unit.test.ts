import { describe, expect, it } from 'vitest';
import { formatDuration, parseDuration } from '../src/duration.ts';

describe('parseDuration', () => {
  it.each([
    ['500ms', 500],
    ['10s', 10_000],
    ['1.5s', 1_500],
    ['30m', 1_800_000],
    ['1h', 3_600_000],
    ['2d', 172_800_000],
    ['3600', 3_600_000],
    ['0', 0],
    [' 5s ', 5_000],
  ])('reads %j as %d ms', (text, milliseconds) => {
    expect(parseDuration(text)).toBe(milliseconds);
  });

  it.each(['', 's', '-1s', '1 h', '1h30m', '1w', '1e3', 'Infinity', '0x10', '1H'])('refuses %j', (text) => {
    expect(parseDuration(text)).toBeUndefined();
  });
});

describe('formatDuration', () => {
  it.each([
    [100, '100ms'],
    [1_000, '1s'],
    [90_000, '90s'],
    [600_000, '10m'],
    [3_600_000, '1h'],
    [172_800_000, '2d'],
    [0, '0ms'],
  ])('spells %d ms as %j', (milliseconds, text) => {
    expect(formatDuration(milliseconds)).toBe(text);
    expect(parseDuration(text)).toBe(milliseconds);
  });
});
