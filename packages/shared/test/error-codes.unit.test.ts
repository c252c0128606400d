import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { ERROR_CODES, type ErrorCode, GroupcastError, isErrorCode, toErrorBody } from '../src/index.ts';

const contract = readFileSync(new URL('../../../docs/contract.md', import.meta.url), 'utf8');

/** The paragraph that lists the codes: one code span, over several lines. */
function documentedCodes(): string[] {
  const paragraph = /^Codes: `([A-Z_\s]+)`\.$/m.exec(contract);
  return paragraph?.[1]?.trim().split(/\s+/) ?? [];
}
const known = Object.keys(ERROR_CODES);

describe('error codes and the contract', () => {
  test('name the same codes, each once', () => {
    const documented = documentedCodes();
    expect(documented.length).toBeGreaterThan(0);
    expect(documented.toSorted()).toEqual(known.toSorted());
  });

  test('every code that the contract shows anywhere else is one of them', () => {
    const names = (text: string): string[] => text.match(/\b[A-Z]+(?:_[A-Z]+)+\b/g) ?? [];
    const [environment = '', rest = ''] = contract.split(/^## 2\. /m);
    // The same spelling: variables, all of them in section 1, and warnings about what succeeded.
    const warnings = ['NO_RECIPIENTS', 'UNDECIDED_MEMBERS', 'NO_GROUPS', 'INVALID_GROUP'];
    const others = new Set([...names(environment), ...warnings]);
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
    // What the server could not do now, it may do later.
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
