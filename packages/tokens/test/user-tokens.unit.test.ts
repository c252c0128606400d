import { AUDIENCE } from '@groupcast/shared';
import fc from 'fast-check';
import { UnsecuredJWT } from 'jose';
import { describe, expect, test } from 'vitest';
import { createUserTokenVerifier, signUserToken } from '../src/index.ts';
import { claims, nowSeconds, OTHER_SECRET, outcome, sign, signText, USER_SECRET } from './forge.ts';

const verifier = createUserTokenVerifier({ secret: USER_SECRET });
const HEADER = '{"alg":"HS256"}';
const past = (): Record<string, number> => ({ iat: nowSeconds() - 7_200, exp: nowSeconds() - 3_600 });

describe('a user token', () => {
  test('says who the user is, until when, in which groups, and how the user wants to be shown', async () => {
    const now = nowSeconds();
    const profile = { name: 'Alice', email: 'alice@example.com', picture: 'https://example.com/a.png' };
    const token = await sign(claims({ iat: now, exp: now + 60, groups: ['a', 7, '7'], ...profile }), USER_SECRET);
    expect(await verifier.verify(token)).toEqual({
      kind: 'user',
      userId: 'alice',
      issuedAt: now,
      expiresAt: now + 60,
      groups: ['a', '7'],
      profile,
    });
  });

  test('as this package signs it is accepted', async () => {
    const options = { secret: USER_SECRET, userId: 'auth0|x', ttlSeconds: 60, groups: ['1'], name: 'X' };
    const { token, expiresAt } = await signUserToken(options);
    const expected = { kind: 'user', userId: 'auth0|x', groups: ['1'], profile: { name: 'X' }, expiresAt };
    expect(await verifier.verify(token)).toMatchObject(expected);
  });

  test('that names no groups and no profile has none', async () => {
    const token = await sign(claims({ groups: null, name: '', email: 1, picture: {} }), USER_SECRET);
    expect(await verifier.verify(token)).toMatchObject({ groups: [], profile: {} });
  });

  test('with a numeric sub is of the user with the decimal id', async () => {
    const token = await sign(claims({ sub: 42 }), USER_SECRET);
    expect((await verifier.verify(token)).userId).toBe('42');
  });

  test('that was not given is TOKEN_MISSING', async () => {
    expect(await outcome(verifier.verify(undefined))).toBe('TOKEN_MISSING');
    expect(await outcome(verifier.verify(''))).toBe('TOKEN_MISSING');
  });

  test.each(['a', 'a.b', 'a.b.c', '..', '.', 'null', '{}', 'a.b.c.d.e', '🙂.🙂.🙂', 'x'.repeat(100_000)])(
    'that is no JWT is TOKEN_INVALID (%.20s)',
    async (token) => {
      expect(await outcome(verifier.verify(token))).toBe('TOKEN_INVALID');
    },
  );

  test('in which any one character was changed is TOKEN_INVALID', async () => {
    const token = await sign(claims(), USER_SECRET);
    const aPlace = fc.nat({ max: token.length - 1 });
    await fc.assert(
      fc.asyncProperty(aPlace, fc.constantFrom('A', 'b', '0', '-', '_', '.'), async (at, character) => {
        fc.pre(token[at] !== character);
        const changed = token.slice(0, at) + character + token.slice(at + 1);
        expect(await outcome(verifier.verify(changed))).toBe('TOKEN_INVALID');
      }),
    );
  });

  test('is refused by its own codes whatever stands in it, and never fails in another way', async () => {
    const aHeader = fc.oneof(
      fc.constant(HEADER),
      fc.json(),
      fc
        .record({ alg: fc.constant('HS256'), typ: fc.jsonValue(), kid: fc.jsonValue(), crit: fc.jsonValue() })
        .map((header) => JSON.stringify(header)),
    );
    const aClaim = fc.oneof(fc.jsonValue(), fc.integer(), fc.constant(nowSeconds() + 60));
    const aPayload = fc.oneof(
      fc.json(),
      fc.string(),
      fc
        .record(
          { sub: aClaim, iat: aClaim, exp: aClaim, nbf: aClaim, aud: aClaim, groups: aClaim },
          { requiredKeys: [] },
        )
        .map((payload) => JSON.stringify(payload)),
    );
    await fc.assert(
      fc.asyncProperty(aHeader, aPayload, async (header, payload) => {
        const code = await outcome(verifier.verify(signText(header, payload, USER_SECRET)));
        expect(['TOKEN_INVALID', 'TOKEN_EXPIRED', 'accepted']).toContain(code);
      }),
      { numRuns: 300 },
    );
  });

  test('is never repeated in the refusal', async () => {
    const token = await sign(claims(), OTHER_SECRET);
    const error: unknown = await verifier.verify(token).catch((reason: unknown) => reason);
    expect(String(error)).toContain('unable to accept the token');
    expect(JSON.stringify(error) + String(error)).not.toContain(token.slice(0, 20));
  });
});

describe('the signature of a user token', () => {
  test('by another secret is TOKEN_INVALID', async () => {
    expect(await outcome(verifier.verify(await sign(claims(), OTHER_SECRET)))).toBe('TOKEN_INVALID');
  });

  test('cannot be left out', async () => {
    expect(await outcome(verifier.verify(new UnsecuredJWT(claims()).encode()))).toBe('TOKEN_INVALID');
    const [header = '', payload = ''] = (await sign(claims(), USER_SECRET)).split('.');
    for (const bare of [`${header}.${payload}.`, `${header}.${payload}`]) {
      expect(await outcome(verifier.verify(bare))).toBe('TOKEN_INVALID');
    }
    for (const alg of ['none', 'None', 'NONE', '']) {
      const token = signText(JSON.stringify({ alg }), JSON.stringify(claims()), USER_SECRET);
      expect(await outcome(verifier.verify(token))).toBe('TOKEN_INVALID');
    }
  });

  test.each(['HS384', 'HS512'])(
    'with %s and the right secret is TOKEN_INVALID: the token does not choose',
    async (alg) => {
      const longSecret = USER_SECRET.repeat(2);
      const own = createUserTokenVerifier({ secret: longSecret });
      expect(await outcome(own.verify(await sign(claims(), longSecret)))).toBe('accepted');
      expect(await outcome(own.verify(await sign(claims(), longSecret, { alg })))).toBe('TOKEN_INVALID');
    },
  );

  test('is not checked against a key that the token brings along', async () => {
    const k = Buffer.from(OTHER_SECRET).toString('base64url');
    const jwk = { kty: 'oct', k, alg: 'HS256' };
    const header = JSON.stringify({
      alg: 'HS256',
      jwk,
      jku: 'http://127.0.0.1:1/',
      x5u: 'http://127.0.0.1:1/',
      kid: k,
    });
    const token = signText(header, JSON.stringify(claims()), OTHER_SECRET);
    expect(await outcome(verifier.verify(token))).toBe('TOKEN_INVALID');
  });

  test('by the previous secret is accepted while there is one', async () => {
    const token = await sign(claims(), OTHER_SECRET);
    const rotating = createUserTokenVerifier({ secret: USER_SECRET, previousSecret: OTHER_SECRET });
    expect(await outcome(rotating.verify(token))).toBe('accepted');
    expect(await outcome(rotating.verify(await sign(claims(), USER_SECRET)))).toBe('accepted');
    expect(await outcome(rotating.verify(await sign(claims(), `${OTHER_SECRET}x`)))).toBe('TOKEN_INVALID');
    expect(await outcome(rotating.verify(await sign(claims(past()), OTHER_SECRET)))).toBe('TOKEN_EXPIRED');
  });

  test.each([undefined, ''])('by the empty secret is refused where the secret is %j', async (secret) => {
    const token = signText(HEADER, JSON.stringify(claims()), '');
    const own = createUserTokenVerifier({ secret, previousSecret: secret });
    expect(await outcome(own.verify(token))).toBe('TOKEN_INVALID');
  });
});

describe('the times of a user token', () => {
  test('that has expired, and nothing else is wrong: TOKEN_EXPIRED', async () => {
    expect(await outcome(verifier.verify(await sign(claims(past()), USER_SECRET)))).toBe('TOKEN_EXPIRED');
  });

  const checked = createUserTokenVerifier({ secret: USER_SECRET, issuer: 'https://id.example.com', audience: 'chat' });
  const right = { iss: 'https://id.example.com', aud: 'chat' };

  test.each([
    ['the signature', right, OTHER_SECRET],
    ['the issuer', { ...right, iss: 'https://other.example.com' }, USER_SECRET],
    ['the audience', { ...right, aud: 'other' }, USER_SECRET],
    ['sub', { ...right, sub: 'a b' }, USER_SECRET],
    ['a missing iat', { ...right, iat: undefined }, USER_SECRET],
    ['an iat of the future', { ...right, iat: nowSeconds() + 3_600 }, USER_SECRET],
    ['a group', { ...right, groups: ['a b'] }, USER_SECRET],
  ])('that has expired, and %s is wrong as well: TOKEN_INVALID', async (_, wrong, secret) => {
    expect(await outcome(checked.verify(await sign(claims({ ...right, ...past() }), USER_SECRET)))).toBe(
      'TOKEN_EXPIRED',
    );
    expect(await outcome(checked.verify(await sign(claims({ ...past(), ...wrong }), secret)))).toBe('TOKEN_INVALID');
  });

  test.each(['sub', 'iat', 'exp'])('without %s is TOKEN_INVALID', async (claim) => {
    const token = await sign(claims({ [claim]: undefined }), USER_SECRET);
    expect(await outcome(verifier.verify(token))).toBe('TOKEN_INVALID');
  });

  test.each([
    ['exp', '"tomorrow"'],
    ['exp', 'null'],
    ['exp', '1e400'],
    ['exp', '[4102444800]'],
    ['iat', '"now"'],
    ['iat', 'null'],
    ['iat', '-1e400'],
    ['nbf', '"now"'],
  ])('with %s = %s is TOKEN_INVALID', async (claim, json) => {
    const payload = JSON.stringify(claims({ [claim]: 'here' })).replace('"here"', json);
    expect(await outcome(verifier.verify(signText(HEADER, payload, USER_SECRET)))).toBe('TOKEN_INVALID');
  });

  test('may have been issued by a clock some seconds ahead, not by one half a minute ahead', async () => {
    const exp = nowSeconds() + 7_200;
    expect(await outcome(verifier.verify(await sign(claims({ exp, iat: nowSeconds() + 3 }), USER_SECRET)))).toBe(
      'accepted',
    );
    for (const ahead of [30, 3_600]) {
      const token = await sign(claims({ exp, iat: nowSeconds() + ahead }), USER_SECRET);
      expect(await outcome(verifier.verify(token))).toBe('TOKEN_INVALID');
    }
  });

  test('that is not valid yet is TOKEN_INVALID', async () => {
    const token = await sign(claims({ nbf: nowSeconds() + 60 }), USER_SECRET);
    expect(await outcome(verifier.verify(token))).toBe('TOKEN_INVALID');
  });
});

describe('the claims of a user token', () => {
  test.each(['', ' ', 'a b', 'ä', 'x'.repeat(256), -1, 1.5, {}, ['alice'], true, null])(
    'sub = %j is no user id: TOKEN_INVALID',
    async (sub) => {
      expect(await outcome(verifier.verify(await sign(claims({ sub }), USER_SECRET)))).toBe('TOKEN_INVALID');
    },
  );

  test.each(['a', {}, 1, true, ['a b'], ['a', '__proto__'], [null], [['a']], [-1]])(
    'groups = %j are no list of group ids: TOKEN_INVALID',
    async (groups) => {
      expect(await outcome(verifier.verify(await sign(claims({ groups }), USER_SECRET)))).toBe('TOKEN_INVALID');
    },
  );

  test('issuer and audience are checked where they are set', async () => {
    const own = createUserTokenVerifier({ secret: USER_SECRET, issuer: 'https://id.example.com', audience: 'chat' });
    const right = { iss: 'https://id.example.com', aud: 'chat' };
    const verdict = async (changes: object): Promise<string> =>
      outcome(own.verify(await sign(claims({ ...right, ...changes }), USER_SECRET)));
    expect(await verdict({})).toBe('accepted');
    expect(await verdict({ aud: ['other', 'chat'] })).toBe('accepted');
    expect(await verdict({ iss: 'https://id.example.com/' })).toBe('TOKEN_INVALID');
    expect(await verdict({ iss: undefined })).toBe('TOKEN_INVALID');
    expect(await verdict({ aud: 'other' })).toBe('TOKEN_INVALID');
    expect(await verdict({ aud: [] })).toBe('TOKEN_INVALID');
    expect(await verdict({ aud: undefined })).toBe('TOKEN_INVALID');
  });

  test('issuer and audience count for nothing where they are not set', async () => {
    const token = await sign(claims({ iss: 'anybody', aud: 'anything' }), USER_SECRET);
    expect(await outcome(verifier.verify(token))).toBe('accepted');
  });

  test.each([AUDIENCE.relay, AUDIENCE.api])('aud = %s makes it a service token, which is no user', async (audience) => {
    for (const aud of [audience, ['chat', audience]]) {
      const token = await sign(claims({ aud, scope: 'broadcast' }), USER_SECRET);
      expect(await outcome(verifier.verify(token))).toBe('TOKEN_INVALID');
    }
  });
});
