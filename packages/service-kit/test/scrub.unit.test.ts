import { describe, expect, test } from 'vitest';
import { scrubText, serializeError } from '../src/scrub.ts';

const HIDDEN = 'hunter2-hunter2';
const JWT = 'eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.c2lnbmF0dXJl';

/** Everything that a log line would show of it. */
const shown = (error: unknown): string => JSON.stringify(serializeError(error));

describe('a text in the log', () => {
  test.each([
    [`connect failed: redis://:${HIDDEN}@redis:6379`, 'connect failed: redis://[redacted]@redis:6379'],
    [`postgres://user:${HIDDEN}@db/groupcast?x=1`, 'postgres://[redacted]@db/groupcast?x=1'],
    [
      `a URL that includes credentials: http://u:p@${HIDDEN}@api/`,
      'a URL that includes credentials: http://[redacted]@api/',
    ],
    [`host=db password=${HIDDEN} user=x`, 'host=db password=[redacted] user=x'],
    [`GET /x?access_token=${HIDDEN}&y=1`, 'GET /x?access_token=[redacted]&y=1'],
    [`{"password":"${HIDDEN}","user":"x"}`, '{"password":"[redacted]","user":"x"}'],
    [`{"msg":"{\\"secret\\": \\"${HIDDEN}\\"}"}`, '{"msg":"{\\"secret\\": \\"[redacted]\\"}"}'],
    [`authorization: Bearer ${HIDDEN}`, 'authorization: Bearer [redacted]'],
    [`refused ${JWT} for good`, 'refused [redacted] for good'],
    [
      `ERR unknown command 'AUTHX', with args beginning with: '${HIDDEN}' 'b'`,
      "ERR unknown command 'AUTHX', with args beginning with: [redacted]",
    ],
  ])('%s', (text, scrubbed) => {
    expect(scrubText(text)).toBe(scrubbed);
    expect(scrubText(scrubbed)).toBe(scrubbed);
  });

  test.each([
    'unable to accept the token; its signature, algorithm or claims are wrong',
    '{"code":"TOKEN_INVALID","tokens":3,"url":"http://localhost:3000/@scope/x","author":"alice"}',
    'mail from alice@example.com; see https://example.com/docs',
  ])('is left as it is where nothing is secret: %s', (text) => {
    expect(scrubText(text)).toBe(text);
  });

  test.each(['eyJ-', 'token', '://', '://@', 'bearer ', "with args beginning with: 'a' ", 'password= '])(
    'is not long in work when it repeats "%s"',
    (piece) => {
      // An algorithm whose time grows with the square of the length would take minutes.
      expect(scrubText(piece.repeat(200_000)).length).toBeGreaterThan(0);
    },
  );
});

describe('an error in the log', () => {
  test.each<[string, () => object]>([
    ['of ioredis, whose command is AUTH', () => ({ command: { name: 'auth', args: [HIDDEN] } })],
    ['of ioredis, whose command carries a message', () => ({ command: { name: 'evalsha', args: ['x', HIDDEN] } })],
    [
      'of ioredis, about the last node of a cluster',
      () => ({ lastNodeError: Object.assign(new Error('no'), { command: { name: 'hello', args: [HIDDEN] } }) }),
    ],
    ['of pg, about a row', () => ({ code: '23502', detail: `Failing row contains (1, ${HIDDEN}).` })],
    ['of pg, with its client', () => ({ client: { connectionParameters: { password: HIDDEN }, password: HIDDEN } })],
    ['of PGlite, with the parameters', () => ({ query: 'insert', params: [HIDDEN] })],
    ['of Node, about a URL', () => ({ code: 'ERR_INVALID_URL', input: `http://${HIDDEN}` })],
    ['of jose, with the claims', () => ({ payload: { email: HIDDEN } })],
    ['of undici, with the request', () => ({ options: { headers: { authorization: `Bearer ${HIDDEN}` } } })],
    ['that carries bytes', () => ({ data: Buffer.from(HIDDEN), more: { deep: { deeper: { accessToken: HIDDEN } } } })],
  ])('%s', (_, fields) => {
    for (const error of [
      Object.assign(new Error('failed'), fields()),
      new Error('failed', { cause: Object.assign(new Error('deep'), fields()) }),
      new AggregateError([new Error('first'), Object.assign(new Error('second'), fields())], 'failed'),
    ]) {
      expect(shown(error)).toContain('failed');
      expect(shown(error)).not.toContain(HIDDEN);
      expect(shown(error)).not.toContain(Buffer.from(HIDDEN).toString('base64'));
    }
  });

  test('is scrubbed in message and stack, its causes’ too', () => {
    const url = `redis://:${HIDDEN}@redis`;
    const error = new Error(`unable to reach ${url}`, {
      cause: new Error(`refused by ${url}`, { cause: new Error(JWT) }),
    });
    expect(shown(error)).not.toContain(HIDDEN);
    expect(shown(error)).not.toContain(JWT);
    expect(serializeError(error)).toMatchObject({
      type: 'Error',
      message: 'unable to reach redis://[redacted]@redis: refused by redis://[redacted]@redis: [redacted]',
      stack: expect.stringContaining('caused by: Error: refused by redis://[redacted]@redis'),
    });
  });

  test('keeps what helps', () => {
    const error = Object.assign(new TypeError('failed'), {
      code: 'X1',
      port: 5,
      address: 'db',
      command: { name: 'get' },
    });
    expect(serializeError(error)).toMatchObject({
      type: 'TypeError',
      code: 'X1',
      port: 5,
      address: 'db',
      command: { name: 'get' },
    });
  });

  test('has bounds: of length, number, depth and causes, and may contain itself', () => {
    const error = new Error('m'.repeat(1_000_000)) as Error & { [name: string]: unknown };
    error['itself'] = error;
    error['list'] = Array.from({ length: 10_000 }, (_, index) => ({ index, list: Array.from({ length: 100 }) }));
    error['map'] = Object.fromEntries(Array.from({ length: 10_000 }, (_, index) => [`k${index}`, 'v'.repeat(100)]));
    let deep: object = {};
    for (let i = 0; i < 10_000; i += 1) deep = { deep };
    error['deep'] = deep;
    let cause = new Error('first');
    for (let i = 0; i < 10_000; i += 1) cause = new Error('next', { cause });
    error.cause = cause;
    cause.cause = error;
    expect(shown(error).length).toBeLessThan(64_000);
  });

  test('that is no error is shown as well as it can be', () => {
    expect(serializeError('failed')).toBe('failed');
    expect(serializeError(undefined)).toBeUndefined();
    expect(serializeError({ password: HIDDEN, code: 1 })).toEqual({ password: '[redacted]', code: 1 });
    expect(serializeError({ message: 'failed' })).toMatchObject({ type: 'Error', message: 'failed' });
    const hostile = Object.defineProperty(new Error('failed'), 'x', {
      enumerable: true,
      get() {
        throw new Error('no');
      },
    });
    expect(serializeError(hostile)).toMatchObject({ message: 'failed' });
  });
});
