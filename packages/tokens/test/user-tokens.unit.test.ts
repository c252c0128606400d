import { AUDIENCE, type GroupcastError } from '@groupcast/shared';
import fc from 'fast-check';
import { UnsecuredJWT } from 'jose';
import { describe, expect, test } from 'vitest';
import { createUserTokenVerifier, type GroupProblem, refusalOf, signUserToken } from '../src/index.ts';
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

  test('in which any one character was changed is TOKEN_INVALID (G10)', async () => {
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
    ['an iat of the future', { ...right, iat: nowSeconds() + 3_600 }, USER_SECRET],
    ['its list of groups', { ...right, groups: 'a b' }, USER_SECRET],
  ])('that has expired, and %s is wrong as well: TOKEN_INVALID', async (_, wrong, secret) => {
    expect(await outcome(checked.verify(await sign(claims({ ...right, ...past() }), USER_SECRET)))).toBe(
      'TOKEN_EXPIRED',
    );
    expect(await outcome(checked.verify(await sign(claims({ ...past(), ...wrong }), secret)))).toBe('TOKEN_INVALID');
  });

  test('without iat counts as issued at 0, so that every removal and revocation is later', async () => {
    const token = await sign(claims({ iat: undefined, groups: ['1'] }), USER_SECRET);
    expect(await verifier.verify(token)).toMatchObject({ userId: 'alice', issuedAt: 0, groups: ['1'] });
    const expired = await sign(claims({ iat: undefined, exp: nowSeconds() - 60 }), USER_SECRET);
    expect(await outcome(verifier.verify(expired))).toBe('TOKEN_EXPIRED');
    const connection = createUserTokenVerifier({ secret: USER_SECRET, connectionSecret: OTHER_SECRET });
    const short = await sign(claims({ iat: undefined, aud: AUDIENCE.connection }), OTHER_SECRET);
    expect(await outcome(connection.verify(short))).toBe('TOKEN_INVALID');
  });

  test.each(['sub', 'exp'])('without %s is TOKEN_INVALID', async (claim) => {
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

describe('a refused user token', () => {
  const options = { secret: USER_SECRET, issuer: 'https://id.example.com', audience: 'chat' };
  const right = { iss: options.issuer, aud: options.audience };
  const now = nowSeconds();
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');

  /** Its fault, and the words for it. */
  const FAULTS: [fault: string, said: RegExp, token: () => Promise<string> | string][] = [
    ['malformed', /no compact JWT/, () => 'abc'],
    ['signature', /signature was not made with JWT_SECRET/, async () => sign(claims(right), OTHER_SECRET)],
    ['algorithm', /algorithm \(alg\) is not HS256/, () => `${part({ alg: 'none' })}.${part(claims(right))}.AA`],
    ['sub', /it has no sub/, async () => sign(claims({ ...right, sub: undefined }), USER_SECRET)],
    [
      'sub',
      /it has no sub; it has user\.id: set JWT_USER_CLAIM=user\.id if that is the user/,
      async () => sign(claims({ ...right, sub: undefined, user: { id: 7 } }), USER_SECRET),
    ],
    ['sub', /its sub is not a user id/, async () => sign(claims({ ...right, sub: 'a b' }), USER_SECRET)],
    [
      'iat',
      // An hour: minutes that a busy machine takes until the token is read change nothing.
      /iat lies 3[56]\d\d s in the future.*clocks/,
      async () => sign(claims({ ...right, iat: now + 3_600 }), USER_SECRET),
    ],
    ['exp', /it has no exp/, async () => sign(claims({ ...right, exp: undefined }), USER_SECRET)],
    [
      'exp',
      /its exp is malformed/,
      () => signText(HEADER, JSON.stringify({ ...claims(right), exp: 'soon' }), USER_SECRET),
    ],
    ['nbf', /not valid yet, or the clocks differ/, async () => sign(claims({ ...right, nbf: now + 60 }), USER_SECRET)],
    [
      'iss',
      /iss is not https:\/\/id.example.com \(JWT_ISSUER\)/,
      async () => sign(claims({ ...right, iss: 'x' }), USER_SECRET),
    ],
    ['aud', /it has no aud/, async () => sign(claims({ ...right, aud: undefined }), USER_SECRET)],
    ['aud', /aud is not chat \(JWT_AUDIENCE\)/, async () => sign(claims({ ...right, aud: 'x' }), USER_SECRET)],
    ['groups', /groups are not a list/, async () => sign(claims({ ...right, groups: 'a' }), USER_SECRET)],
    ['purpose', /it is a service token/, async () => sign(claims({ aud: AUDIENCE.relay }), USER_SECRET)],
    [
      'signature',
      /not made with CONNECTION_TOKEN_SECRET/,
      async () => sign(claims({ aud: AUDIENCE.connection }), OTHER_SECRET),
    ],
  ];

  test.each(FAULTS)(
    'says what is wrong, to the log always, in the answer where it is asked to: %s, %s (G51)',
    async (fault, said, make) => {
      const token = await make();
      const refused = async (explain: boolean): Promise<GroupcastError> =>
        createUserTokenVerifier({ ...options, connectionSecret: USER_SECRET, explain })
          .verify(token)
          .then(
            () => expect.unreachable('accepted'),
            (error: GroupcastError) => error,
          );
      const [shown, hidden] = [await refused(true), await refused(false)];
      expect(shown).toMatchObject({ code: 'TOKEN_INVALID', message: expect.stringMatching(said), details: { fault } });
      expect(hidden).toMatchObject({ code: 'TOKEN_INVALID', details: undefined });
      expect([shown, hidden].map((error) => refusalOf(error)?.message)).toEqual([
        expect.stringMatching(said),
        expect.stringMatching(said),
      ]);
      // A forger of tokens is told nothing about keys and claims.
      if (['signature', 'algorithm', 'malformed', 'iss', 'aud'].includes(fault)) {
        expect(hidden.message).toBe('unable to accept the token; its signature, algorithm or claims are wrong');
      }
    },
  );

  test.each(['Bearer ', 'bearer  '])('with %j in front of it is none: it is accepted', async (scheme) => {
    const token = await sign(claims(), USER_SECRET);
    expect(await outcome(verifier.verify(scheme + token))).toBe('accepted');
    expect(await outcome(verifier.verify(scheme))).toBe('TOKEN_MISSING');
  });
});

test.each([0, 5, 60])('clocks may differ by as much as is set: %i s', async (clockSkewSeconds) => {
  const own = createUserTokenVerifier({ secret: USER_SECRET, clockSkewSeconds });
  const verdict = async (changes: Record<string, number>): Promise<string> =>
    outcome(own.verify(await sign(claims(changes), USER_SECRET)));
  const now = nowSeconds();
  expect(await verdict({ iat: now + clockSkewSeconds, nbf: now + clockSkewSeconds })).toBe('accepted');
  expect(await verdict({ iat: now + clockSkewSeconds + 2 })).toBe('TOKEN_INVALID');
  expect(await verdict({ nbf: now + clockSkewSeconds + 2 })).toBe('TOKEN_INVALID');
  expect(await verdict({ iat: now - 90, exp: now - clockSkewSeconds - 1 })).toBe('TOKEN_EXPIRED');
});

test('a token that was issued 10 s ahead is accepted where nothing is set', async () => {
  const token = await sign(claims({ iat: nowSeconds() + 10 }), USER_SECRET);
  expect(await outcome(verifier.verify(token))).toBe('accepted');
});

describe('the claims of a user token', () => {
  test.each(['', ' ', 'a b', 'ä', 'x'.repeat(256), -1, 1.5, {}, ['alice'], true, null])(
    'sub = %j is no user id: TOKEN_INVALID',
    async (sub) => {
      expect(await outcome(verifier.verify(await sign(claims({ sub }), USER_SECRET)))).toBe('TOKEN_INVALID');
    },
  );

  test.each(['a', {}, 1, true])('groups = %j are no list: TOKEN_INVALID', async (groups) => {
    expect(await outcome(verifier.verify(await sign(claims({ groups }), USER_SECRET)))).toBe('TOKEN_INVALID');
  });

  test.each([['a b'], '__proto__', null, -1, {}, 'x'.repeat(129)])(
    'a group %j that is no id is left out, and said; the others count',
    async (wrong) => {
      const problems: GroupProblem[] = [];
      const own = createUserTokenVerifier({ secret: USER_SECRET, onGroupProblem: (problem) => problems.push(problem) });
      const token = await sign(claims({ groups: ['a', wrong, 1, wrong] }), USER_SECRET);
      expect((await own.verify(token)).groups).toEqual(['a', '1']);
      const group = JSON.stringify(wrong).slice(0, 64);
      expect(problems).toEqual([{ kind: 'invalid', userId: 'alice', group, count: 2 }]);
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

describe('JWT_USER_CLAIM', () => {
  const named = (userClaim: string): ReturnType<typeof createUserTokenVerifier> =>
    createUserTokenVerifier({ secret: USER_SECRET, connectionSecret: OTHER_SECRET, userClaim, explain: false });

  test.each([
    ['_id', { _id: '694801074b3132dfefb58ce0' }, '694801074b3132dfefb58ce0'],
    ['user.id', { user: { id: 42 } }, '42'],
    ['a.b.c', { a: { b: { c: 'alice' } } }, 'alice'],
    ['https://app.example.com/user_id', { 'https://app.example.com/user_id': 'alice' }, 'alice'],
    ['user.id', { 'user.id': 'alice', user: { id: 'eve' } }, 'alice'],
    ['id', { id: 'alice', sub: 'eve' }, 'alice'],
  ])('names the user by %s, and sub says nothing', async (path, payload, userId) => {
    const token = await sign(claims({ sub: undefined, ...payload }), USER_SECRET);
    expect((await named(path).verify(token)).userId).toBe(userId);
  });

  test.each([
    ['user.id', {}, 'it has no user.id (JWT_USER_CLAIM)'],
    ['user.id', { user: 'alice' }, 'it has no user.id (JWT_USER_CLAIM)'],
    ['user.id', { user: null }, 'it has no user.id (JWT_USER_CLAIM)'],
    ['user.id', { user: { id: null } }, 'it has no user.id (JWT_USER_CLAIM)'],
    ['user.id', { user: { id: { $ne: 1 } } }, 'its user.id (JWT_USER_CLAIM) is not a user id'],
    ['user.id', { user: { id: '<img src=x>alice bob' } }, 'its user.id (JWT_USER_CLAIM) is not a user id'],
    ['id', { id: 1.5 }, 'its id (JWT_USER_CLAIM) is not a user id'],
    ['toString', {}, 'it has no toString (JWT_USER_CLAIM)'],
    ['user.__proto__', { user: {} }, 'it has no user.__proto__ (JWT_USER_CLAIM)'],
    ['user.constructor.name', { user: {} }, 'it has no user.constructor.name (JWT_USER_CLAIM)'],
  ])('%s that is not in the token is said by its name, in production too (%o)', async (path, payload, why) => {
    const verified = named(path).verify(await sign(claims(payload), USER_SECRET));
    await expect(verified).rejects.toThrow(`unable to accept the token; ${why}`);
  });

  test('is not read from a connection token, whose user is in sub', async () => {
    const token = await sign(claims({ aud: AUDIENCE.connection, _id: 'eve' }), OTHER_SECRET);
    expect(await named('_id').verify(token)).toMatchObject({ kind: 'connection', userId: 'alice' });
  });

  test.each(['_id', 'user.id', 'https://app.example.com/id', 'sub'])(
    'is set in the tokens that this package signs: %s',
    async (userClaim) => {
      const { token } = await signUserToken({ secret: USER_SECRET, userId: 'alice', ttlSeconds: 60, userClaim });
      expect((await named(userClaim).verify(token)).userId).toBe('alice');
    },
  );
});
