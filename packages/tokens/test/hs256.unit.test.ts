import { createHmac } from 'node:crypto';
import fc from 'fast-check';
import { errors, jwtVerify } from 'jose';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import {
  createSignatureCheck,
  type ExpectedClaims,
  readToken,
  rememberSignatures,
  type SignatureCheck,
  secretKeys,
  verifyHs256,
} from '../src/hs256.ts';
import { OTHER_SECRET, USER_SECRET } from './forge.ts';

/** Both sides read the same clock, so that the edges of `exp` and `nbf` can be asked for. */
const NOW = 1_800_000_000;
const SKEW = 5;
const EXPECTED: ExpectedClaims = { issuer: 'https://id.example.com', audience: 'chat' };

type Verdict = { is: 'accepted' | 'expired'; payload: unknown } | { is: 'refused' };

/** One for all tests, which remembers some of their tokens, and one that remembers none. */
const KEYS = secretKeys(USER_SECRET);
const CHECKS = [rememberSignatures(createSignatureCheck(KEYS), 50), createSignatureCheck(KEYS)];

/** Decides twice with each check, so that the second time a token may be remembered; all four verdicts have to be the same. */
function ours(token: string, expected: ExpectedClaims): Verdict {
  const verdicts = [...CHECKS, ...CHECKS].map((isSigned) => decide(token, expected, isSigned));
  for (const verdict of verdicts) expect(verdict).toEqual(verdicts[0]);
  return verdicts[0] as Verdict;
}

function decide(token: string, expected: ExpectedClaims, isSigned: SignatureCheck): Verdict {
  try {
    const read = readToken(token);
    if (!read) return { is: 'refused' };
    const { payload, expired } = verifyHs256(read, isSigned, { ...expected, clockSkewSeconds: SKEW });
    return { is: expired ? 'expired' : 'accepted', payload };
  } catch (error) {
    if (error instanceof errors.JOSEError) return { is: 'refused' };
    throw error;
  }
}

async function joses(
  token: string,
  { required = ['sub', 'iat', 'exp'], ...expected }: ExpectedClaims,
): Promise<Verdict> {
  const options = { algorithms: ['HS256'], requiredClaims: [...required], clockTolerance: SKEW, ...expected };
  return jwtVerify(token, new TextEncoder().encode(USER_SECRET), options).then(
    ({ payload }) => ({ is: 'accepted', payload }),
    (error: unknown) =>
      error instanceof errors.JWTExpired ? { is: 'expired', payload: error.payload } : { is: 'refused' },
  );
}

/** All that jose lets pass and we do not. No signer writes any of it. */
const STRICTER: Record<string, (token: string) => boolean> = {
  'whitespace in a part': (token) => /\s/.test(token),
  padding: (token) => token.includes('='),
  'bits in the signature that count for nothing': (token) => {
    const signature = token.split('.')[2] ?? '';
    return Buffer.from(signature, 'base64url').toString('base64url') !== signature;
  },
  'crit, even of the one extension that jose knows': (token) => 'crit' in headerOf(token),
  'b64: false, which counts only where crit names it': (token) => headerOf(token)['b64'] === false,
};

function headerOf(token: string): Record<string, unknown> {
  return JSON.parse(
    Buffer.from(token.split('.')[0] ?? '', 'base64url')
      .toString()
      .replace('\uFEFF', ''),
  );
}

const mac = (input: string, key = USER_SECRET, hash = 'sha256'): Buffer => createHmac(hash, key).update(input).digest();

/** The same bytes for who decodes carelessly: the last character has bits that stand for nothing. */
function otherTrailingBits(text: string): string {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
  return text.slice(0, -1) + alphabet[(alphabet.indexOf(text.at(-1) ?? 'A') ^ 1) & 63];
}

const anOddity: fc.Arbitrary<(text: string) => string> = fc
  .tuple(fc.constantFrom(' ', '\n', '\t', '=', '+', '/', '*', 'ä', '\u0141', '\0', 'A', 'AA', '.'), fc.nat())
  .map(([character, at]) => (text) => {
    const place = at % (text.length + 1);
    return text.slice(0, place) + character + text.slice(place);
  });
const anEncoding = fc.oneof(
  { weight: 12, arbitrary: fc.constant((bytes: Buffer) => bytes.toString('base64url')) },
  {
    weight: 3,
    arbitrary: fc.constantFrom(
      (bytes: Buffer) => bytes.toString('base64'),
      (bytes: Buffer) => bytes.toString('base64').replaceAll('+', '-').replaceAll('/', '_'),
      (bytes: Buffer) => otherTrailingBits(bytes.toString('base64url')),
      (bytes: Buffer) => `${bytes.toString('base64url')}=`,
      (bytes: Buffer) => `${bytes.toString('base64url')}A`,
      (bytes: Buffer) => `${bytes.toString('base64url')}\n`,
      (bytes: Buffer) => bytes.toString('hex'),
      (bytes: Buffer) => bytes.toString('latin1'),
    ),
  },
  { weight: 2, arbitrary: anOddity.map((odd) => (bytes: Buffer) => odd(bytes.toString('base64url'))) },
);

/** JSON as text, so that it can say a thing twice, and numbers that no JavaScript value can be. */
function anObject(fields: Record<string, [usual: string | undefined, ...others: string[]]>): fc.Arbitrary<string> {
  const entries = Object.entries(fields).map(([name, [usual, ...others]]) => {
    const member = (value: string): string => `${JSON.stringify(name)}:${value}`;
    const once = fc.constantFrom(...others).map(member);
    const twice = fc.tuple(fc.constantFrom(...others), fc.constantFrom(usual ?? 'null', ...others));
    return fc.oneof(
      { weight: 60, arbitrary: fc.constant(usual === undefined ? '' : member(usual)) },
      { weight: 4, arbitrary: once },
      { weight: 1, arbitrary: fc.constant('') },
      { weight: 1, arbitrary: twice.map((pair) => pair.map(member).join(',')) },
    );
  });
  return fc.tuple(...entries).map((members) => `{${members.filter((member) => member !== '').join(',')}}`);
}
const anything = fc.json().filter((text) => text.length < 200);
const bytes = (text: fc.Arbitrary<string>): fc.Arbitrary<Buffer> => text.map((content) => Buffer.from(content));

const aHeader = fc.oneof(
  {
    weight: 12,
    arbitrary: bytes(
      anObject({
        alg: [
          '"HS256"',
          '"hs256"',
          '"HS384"',
          '"HS512"',
          '"RS256"',
          '"none"',
          '""',
          'null',
          '1',
          '["HS256"]',
          '"HS\\u0032"',
        ],
        typ: ['"JWT"', '"at+jwt"', '1', 'null'],
        crit: [undefined, '["b64"]', '[]', '["exp"]', '"b64"', 'null', '["b64","b64"]', '["crit"]'],
        b64: [undefined, 'true', 'false', '"false"', 'null'],
        ['__proto__']: [undefined, '{"alg":"HS256"}'],
        kid: [undefined, '"x"', '{}'],
      }),
    ),
  },
  {
    weight: 1,
    arbitrary: fc.constantFrom(
      ...['[]', 'null', '"HS256"', '{}', '', '\uFEFF{"alg":"HS256"}', ' {"alg":"HS256"}\n', '{"alg":"HS256"}x'].map(
        (text) => Buffer.from(text),
      ),
      Buffer.from('{"alg":"HS256","x":"\xff"}', 'latin1'),
      Buffer.from('{"\\u0061lg":"HS256"}'),
    ),
  },
  { weight: 1, arbitrary: bytes(anything) },
);

const TIMES = ['"1"', 'null', 'true', '[1]', '1e400', '-1e400', '1e22', '-0', '0.5', '1e-400'];
const theClaims = (usualExp: number): fc.Arbitrary<Buffer> =>
  bytes(
    anObject({
      sub: ['"alice"', '1', 'null', '""', '{}'],
      iat: [`${NOW}`, `${NOW + 60}`, ...TIMES],
      exp: [`${usualExp}`, ...[-60, -6, -5, -4, 0].map((by) => `${NOW + by}`), `${NOW - 4.5}`, ...TIMES],
      nbf: [undefined, ...[-60, 0, 5, 6, 60].map((by) => `${NOW + by}`), `${NOW + 5.5}`, ...TIMES],
      iss: ['"https://id.example.com"', '"other"', '["https://id.example.com"]', 'null', '""'],
      aud: [
        '"chat"',
        '["chat"]',
        '["x","chat",1]',
        '["x"]',
        '[]',
        '"cha"',
        '"chats"',
        'null',
        '[["chat"]]',
        '{"0":"chat"}',
        '1',
      ],
      ['__proto__']: [undefined, '{"sub":"bob"}', 'null'],
      name: ['"Alice"', '"\\ud800"', '"🙂"'],
    }),
  );
const aPayload = fc.oneof(
  { weight: 12, arbitrary: theClaims(NOW + 60) },
  { weight: 3, arbitrary: theClaims(NOW - 60) },
  { weight: 1, arbitrary: bytes(anything) },
  {
    weight: 1,
    arbitrary: fc.constantFrom(
      Buffer.from(
        `{"sub":"\xff","iat":${NOW},"exp":${NOW + 60},"iss":"https://id.example.com","aud":"chat"}`,
        'latin1',
      ),
      Buffer.from(`\uFEFF{"sub":"a","iat":${NOW},"exp":${NOW + 60},"iss":"https://id.example.com","aud":"chat"}`),
      Buffer.from(''),
    ),
  },
);

const aSignature: fc.Arbitrary<(input: string) => Buffer> = fc.oneof(
  { weight: 20, arbitrary: fc.constant((input: string) => mac(input)) },
  {
    weight: 1,
    arbitrary: fc.constantFrom(
      (input: string) => mac(input, OTHER_SECRET),
      (input: string) => mac(input, ''),
      (input: string) => mac(input, USER_SECRET, 'sha384'),
      (input: string) => mac(input, USER_SECRET, 'sha512').subarray(0, 32),
      (input: string) => mac(input).subarray(0, 31),
      (input: string) => Buffer.concat([mac(input), Buffer.from([0])]),
      () => Buffer.alloc(0),
      () => Buffer.alloc(32),
    ),
  },
);

/** A token whose every step may have gone wrong, and whose signature is right for what it became. */
const aToken = fc
  .record({
    header: aHeader,
    payload: aPayload,
    encodings: fc.tuple(anEncoding, anEncoding, anEncoding),
    sign: aSignature,
  })
  .map(({ header, payload, encodings: [first, second, third], sign }) => {
    const input = `${first(header)}.${second(payload)}`;
    return `${input}.${third(sign(input))}`;
  })
  .chain((token) =>
    fc.oneof(
      { weight: 12, arbitrary: fc.constant(token) },
      { weight: 1, arbitrary: anOddity.map((odd) => odd(token)) },
      {
        weight: 1,
        arbitrary: fc.constantFrom(
          `.${token}`,
          `${token}.`,
          `${token}.${token}`,
          `${token}\n`,
          `Bearer ${token}`,
          token.slice(0, -1),
        ),
      },
    ),
  );

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['Date'], now: NOW * 1_000 });
});
afterEach(() => {
  vi.useRealTimers();
});

describe('an HS256 token, whatever is odd about it,', () => {
  test.each([
    ['issuer and audience', EXPECTED],
    ['nothing but times and sub', {}],
    ['nothing but an exp', { required: ['exp'] }],
  ] satisfies [string, ExpectedClaims][])(
    'is accepted, expired or refused as by jose, where the verifier asks for %s',
    async (_, expected) => {
      const seen = { accepted: 0, expired: 0, refused: 0, stricter: 0 };
      await fc.assert(
        fc.asyncProperty(aToken, async (token) => {
          const [verdict, reference] = [ours(token, expected), await joses(token, expected)];
          seen[verdict.is] += 1;
          if (verdict.is === 'refused' && reference.is !== 'refused') {
            seen.stricter += 1;
            expect(Object.values(STRICTER).some((applies) => applies(token))).toBe(true);
          } else {
            expect(verdict).toEqual(reference);
          }
        }),
        { numRuns: 2_000 },
      );
      // It compared something: all verdicts came up, many times.
      for (const count of Object.values(seen)) expect(count).toBeGreaterThan(50);
    },
  );

  const PAYLOAD = `{"sub":"alice","iat":${NOW},"exp":${NOW + 60}}`;
  const signed = (header: string, payload = PAYLOAD, encode = (text: string): string => text): string => {
    const part = (text: string): string => encode(Buffer.from(text).toString('base64url'));
    const input = `${part(header)}.${part(payload)}`;
    return `${input}.${mac(input).toString('base64url')}`;
  };
  const right = signed('{"alg":"HS256"}');

  test.each([
    ['whitespace in a part', signed('{"alg":"HS256"}', PAYLOAD, (part) => `${part.slice(0, 4)} ${part.slice(4)}`)],
    ['whitespace in a part', `${right}\n`],
    ['padding', `${right}=`],
    ['bits in the signature that count for nothing', otherTrailingBits(right)],
    ['crit, even of the one extension that jose knows', signed('{"alg":"HS256","crit":["b64"],"b64":true}')],
    ['b64: false, which counts only where crit names it', signed('{"alg":"HS256","b64":false}')],
  ])('is refused with %s, which jose accepts', async (why, token) => {
    expect((await joses(token, {})).is).toBe('accepted');
    expect(ours(token, {}).is).toBe('refused');
    expect(STRICTER[why]?.(token)).toBe(true);
  });

  test('whose last character has the right one in its lower byte is refused', () => {
    expect(ours(right, {}).is).toBe('accepted');
    const twin = String.fromCharCode((right.at(-1) ?? 'A').charCodeAt(0) + 0x100);
    expect(ours(right.slice(0, -1) + twin, {}).is).toBe('refused');
  });

  describe('where its signature is remembered', () => {
    test('expires all the same, and is refused by a verifier that asks for more', () => {
      const isSigned = rememberSignatures(createSignatureCheck(KEYS), 10);
      expect(decide(right, {}, isSigned).is).toBe('accepted');
      expect(decide(right, { audience: 'chat' }, isSigned).is).toBe('refused');
      vi.setSystemTime((NOW + 60 + SKEW) * 1_000);
      expect(decide(right, {}, isSigned).is).toBe('expired');
    });

    test('does not lend it to other claims or another signature', () => {
      const isSigned = rememberSignatures(createSignatureCheck(KEYS), 10);
      expect(decide(right, {}, isSigned).is).toBe('accepted');
      const [header, , signature] = right.split('.');
      const other = Buffer.from(PAYLOAD.replace('alice', 'bob')).toString('base64url');
      expect(decide(`${header}.${other}.${signature}`, {}, isSigned).is).toBe('refused');
      expect(decide(otherTrailingBits(right), {}, isSigned).is).toBe('refused');
    });

    test('is one of a bounded number, all of them right', () => {
      const checked: string[] = [];
      const isSigned = rememberSignatures((token) => {
        checked.push(token.text);
        return !token.text.endsWith('x');
      }, 2);
      const ask = (name: string): boolean => isSigned({ text: name, header: {}, claims: {}, input: '', signature: '' });
      expect(['a', 'a', 'x', 'x', 'b', 'a'].map(ask)).toEqual([true, true, false, false, true, true]);
      expect(checked).toEqual(['a', 'x', 'x', 'b']);
      ask('c');
      expect(['b', 'a'].map(ask)).toEqual([true, true]);
      expect(checked).toEqual(['a', 'x', 'x', 'b', 'c', 'a']);
      const long = 'y'.repeat(5_000);
      expect([ask(long), ask(long)]).toEqual([true, true]);
      expect(checked.filter((name) => name === long)).toHaveLength(2);
    });
  });
});
