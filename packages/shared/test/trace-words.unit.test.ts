import { expect, test } from 'vitest';
import { nameIn, type TraceVerdict, withRefusals } from '../src/payloads/trace.ts';

const offline: TraceVerdict = { state: 'stopped', hop: 'written', code: 'OFFLINE', cause: 'it is away', fix: 'wait' };
const refusal = (code: string, count: number) => ({ code, message: `why ${code}`, count, at: '2026-01-01T00:00:00Z' });

test('of the refusals the newest is told whole and others by their codes, sessions that are not known last', () => {
  const refusals = ['UNKNOWN_SESSION', 'ORIGIN_FORBIDDEN', 'NOT_FOUND', 'TOKEN_INVALID', 'UNSUPPORTED_PROTOCOL'];
  const { cause, fix } = withRefusals(
    offline,
    refusals.map((code, n) => refusal(code, n + 1)),
  );
  expect(cause).toBe(
    'it is away; lately 2 connections were refused, nobody knows whose (ORIGIN_FORBIDDEN): why ORIGIN_FORBIDDEN;' +
      ' and NOT_FOUND (3), TOKEN_INVALID (4), UNSUPPORTED_PROTOCOL (5), UNKNOWN_SESSION (1)',
  );
  expect(fix).toContain('see ORIGIN_FORBIDDEN in docs/reference/errors.md; otherwise wait');
  expect(withRefusals(offline, [refusal('UNKNOWN_SESSION', 1)]).cause).toContain('a connection was refused');
});

test('nothing is said of refusals where somebody is not offline, or there were none', () => {
  const slow = { ...offline, code: 'SLOW_CONSUMER' };
  expect(withRefusals(slow, [refusal('NOT_FOUND', 1)])).toBe(slow);
  expect(withRefusals(offline, [])).toBe(offline);
});

test.each([
  ['bob', ' bob'],
  ['bob@example.com', ' bob@example.com'],
  ['auth0|x', " 'auth0|x'"],
  ['$(id);`x`', " '$(id);`x`'"],
  ["o'neil", " 'o'\\''neil'"],
  ['$&', " '$&'"],
  ['~', " '~'"],
  ['-rf', '=-rf'],
])('a command names %j as one word of a shell, and of its option', (id, word) => {
  for (const option of ['user', 'group'] as const)
    expect(nameIn(`if it is open: monitor --${option} ID`, option, id)).toBe(
      `if it is open: monitor --${option}${word}`,
    );
});
