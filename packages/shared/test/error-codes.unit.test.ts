import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import {
  API_VERDICT_CODES,
  ERROR_CODES,
  type ErrorCode,
  GroupcastError,
  isErrorCode,
  RECIPIENT_CODES,
  RELAY_VERDICT_CODES,
  toErrorBody,
} from '../src/index.ts';

const REFERENCE = new URL('../../../docs/reference/', import.meta.url);
const page = (name: string): string => readFileSync(new URL(name, REFERENCE), 'utf8');
const headings = (text: string): string[] => Array.from(text.matchAll(/^### (.+)$/gm), (match) => match[1] ?? '');
const known = Object.keys(ERROR_CODES);

describe('error codes and the reference', () => {
  test('name the same codes, each under a heading of its own', () => {
    const documented = headings(page('errors.md'));
    expect(documented.length).toBeGreaterThan(0);
    expect(documented.toSorted()).toEqual(known.toSorted());
  });

  test('every code that the reference shows anywhere is one of them', () => {
    const names = (text: string): string[] => text.match(/\b[A-Z]+(?:_[A-Z]+)+\b/g) ?? [];
    const configuration = page('configuration.md');
    const rest = readdirSync(REFERENCE)
      .filter((name) => name !== 'configuration.md')
      .map(page)
      .join('\n');
    // The same spelling: variables, all of them on one page, warnings about what succeeded, and why a session ends without a fault.
    const warnings = [
      'NO_RECIPIENTS',
      'UNDECIDED_MEMBERS',
      'FIELDS_REPLACED',
      'FIELDS_IGNORED',
      'UNSAID_EVENT',
      'NO_GROUPS',
      'INVALID_GROUP',
    ];
    const ends = ['PRESENCE_CHANGED'];
    // The faults of doctor and the problems of check-config, which tests of the commands hold to them, are no codes of ours.
    const ofCommands = ['Faults', 'Problems of a configuration'].flatMap((heading) => {
      const table = page('commands.md').split(`\n### ${heading}\n`)[1]?.split('\n## ')[0] ?? '';
      return Array.from(table.matchAll(/^\| `([A-Z_]+)` \|/gm), (match) => match[1] ?? '');
    });
    const others = new Set([
      ...names(configuration).filter((name) => !isErrorCode(name)),
      ...warnings,
      ...ends,
      ...ofCommands,
      ...RELAY_VERDICT_CODES,
      ...RECIPIENT_CODES,
      ...API_VERDICT_CODES,
    ]);
    const shown = names(rest).filter((name) => !others.has(name));
    expect(shown.length).toBeGreaterThan(known.length);
    expect(shown.filter((code) => !isErrorCode(code))).toEqual([]);
  });
});

describe('an error as it travels', () => {
  test.each(known as ErrorCode[])('%s has a status of its own class and says whether to try again', (code) => {
    const { status, retryable } = ERROR_CODES[code];
    expect(status).toBeGreaterThanOrEqual(400);
    expect(status).toBeLessThan(600);
    expect(new GroupcastError(code, 'unable to do it; because').toBody()).toEqual({
      code,
      message: 'unable to do it; because',
      retryable,
    });
    // A failure of the server may pass.
    expect(status < 500 || retryable).toBe(true);
  });

  test('carries retryAfterMs and details where they were given, and never its cause', () => {
    const options = { cause: new Error('password'), retryAfterMs: 5, details: { head: 1 }, retryable: true };
    const error = new GroupcastError('CONFLICT', 'unable to do it; because', options);
    const body = { code: 'CONFLICT', message: error.message, retryable: true, retryAfterMs: 5, details: { head: 1 } };
    expect(toErrorBody(error)).toEqual(body);
    expect(error.cause).toBe(options.cause);
  });

  test.each([new Error('password'), new TypeError('password'), 'password', null, undefined, { code: 'CONFLICT' }])(
    'is INTERNAL without its text where it was not expected (%s)',
    (error) => {
      const body = toErrorBody(error);
      expect(body).toMatchObject({ code: 'INTERNAL', retryable: true });
      expect(JSON.stringify(body)).not.toContain('password');
    },
  );

  test.each(['constructor', 'toString', '__proto__', 'not_found', '', undefined, null, 1, {}])(
    '%s is no code',
    (value) => {
      expect(isErrorCode(value)).toBe(false);
    },
  );
});
