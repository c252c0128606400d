import { AUDIENCE, SERVICE_SCOPES } from '@groupcast/shared';
import fc from 'fast-check';
import { UnsecuredJWT } from 'jose';
import { describe, expect, test } from 'vitest';
import { createServiceTokenVerifier, signServiceToken, signUserToken } from '../src/index.ts';
import { claims, nowSeconds, OTHER_SECRET, outcome, SERVICE_SECRET, sign, signText } from './forge.ts';

const verifier = createServiceTokenVerifier({ secret: SERVICE_SECRET, audience: AUDIENCE.relay });
const right = { sub: 'billing', aud: AUDIENCE.relay, scope: 'broadcast' };
const verdict = async (changes: object, secret = SERVICE_SECRET): Promise<string> =>
  outcome(verifier.verify(await sign(claims({ ...right, ...changes }), secret)));

describe('a service token', () => {
  test('as this package signs it says which program asks, and what it may do', async () => {
    const token = await signServiceToken({
      secret: SERVICE_SECRET,
      scopes: ['broadcast', 'monitor'],
      subject: 'billing',
      ttlSeconds: 60,
    });
    const read = await verifier.verify(token);
    expect(read).toMatchObject({ kind: 'service', subject: 'billing' });
    expect(read.scopes).toEqual(new Set(['broadcast', 'monitor']));
    expect(read.expiresAt - read.issuedAt).toBe(60);
  });

  test('is signed for ten minutes at most, whatever was asked for', async () => {
    const options = { secret: SERVICE_SECRET, scopes: SERVICE_SCOPES, subject: 'billing', ttlSeconds: 86_400 };
    const read = await verifier.verify(await signServiceToken(options));
    expect(read.expiresAt - read.issuedAt).toBe(600);
  });

  test('for more than ten minutes is refused, even with the right secret', async () => {
    expect(await verdict({ exp: nowSeconds() + 590 })).toBe('accepted');
    expect(await verdict({ exp: nowSeconds() + 620 })).toBe('SERVICE_TOKEN_INVALID');
  });

  test('is made for one audience', async () => {
    const forApi = createServiceTokenVerifier({ secret: SERVICE_SECRET, audience: AUDIENCE.api });
    const options = { secret: SERVICE_SECRET, scopes: ['relay'] as const, subject: 'socket-relay' };
    const toApi = await signServiceToken({ ...options, audience: AUDIENCE.api });
    const toRelay = await signServiceToken(options);
    expect(await outcome(forApi.verify(toApi))).toBe('accepted');
    expect(await outcome(verifier.verify(toRelay))).toBe('accepted');
    expect(await outcome(forApi.verify(toRelay))).toBe('SERVICE_TOKEN_INVALID');
    expect(await outcome(verifier.verify(toApi))).toBe('SERVICE_TOKEN_INVALID');
    expect(await verdict({ aud: undefined })).toBe('SERVICE_TOKEN_INVALID');
    expect(await verdict({ aud: AUDIENCE.connection })).toBe('SERVICE_TOKEN_INVALID');
  });

  test('that lacks the scope is FORBIDDEN, and not before all else is right', async () => {
    const token = await sign(claims(right), SERVICE_SECRET);
    expect(await outcome(verifier.verify(token, 'broadcast'))).toBe('accepted');
    expect(await outcome(verifier.verify(token, 'admin'))).toBe('FORBIDDEN');
    const forged = await sign(claims(right), OTHER_SECRET);
    expect(await outcome(verifier.verify(forged, 'admin'))).toBe('SERVICE_TOKEN_INVALID');
  });

  test.each([
    undefined,
    '',
    'Broadcast',
    'broadcast,admin',
    'broadcaster',
    ['broadcast'],
    1,
    null,
    { broadcast: true },
  ])('with scope = %j does not have the scope "broadcast"', async (scope) => {
    const token = await sign(claims({ ...right, scope }), SERVICE_SECRET);
    expect(await outcome(verifier.verify(token, 'broadcast'))).toBe('FORBIDDEN');
    expect((await verifier.verify(token)).scopes.size).toBe(0);
  });

  test('keeps the scopes that are known, and drops the others', async () => {
    const token = await sign(claims({ ...right, scope: 'root monitor  admin' }), SERVICE_SECRET);
    expect((await verifier.verify(token)).scopes).toEqual(new Set(['monitor', 'admin']));
  });

  test('by the previous secret is accepted while there is one', async () => {
    const rotating = createServiceTokenVerifier({
      secret: SERVICE_SECRET,
      previousSecret: OTHER_SECRET,
      audience: AUDIENCE.relay,
    });
    expect(await outcome(rotating.verify(await sign(claims(right), OTHER_SECRET)))).toBe('accepted');
    expect(await outcome(rotating.verify(await sign(claims(right), SERVICE_SECRET)))).toBe('accepted');
    expect(await outcome(rotating.verify(await sign(claims(right), `${OTHER_SECRET}x`)))).toBe('SERVICE_TOKEN_INVALID');
  });

  test('is SERVICE_TOKEN_INVALID whatever is wrong with it (G10)', async () => {
    const now = nowSeconds();
    const wrong: object[] = [
      { sub: undefined },
      { sub: 'a b' },
      { sub: {} },
      { iat: undefined },
      { iat: now + 120 },
      { exp: undefined },
      { exp: 'soon' },
      { iat: now - 120, exp: now - 60 },
      { nbf: now + 60 },
    ];
    expect(await Promise.all(wrong.map(async (changes) => verdict(changes)))).toEqual(
      wrong.map(() => 'SERVICE_TOKEN_INVALID'),
    );
    expect(await verdict({}, OTHER_SECRET)).toBe('SERVICE_TOKEN_INVALID');
    const others = [
      undefined,
      '',
      'a.b.c',
      new UnsecuredJWT(claims(right)).encode(),
      signText('{"alg":"HS256"}', JSON.stringify(claims(right)), ''),
    ];
    for (const token of others) expect(await outcome(verifier.verify(token))).toBe('SERVICE_TOKEN_INVALID');
  });

  const ten = 660;
  test.each<[string, string, object, RegExp]>([
    ['another secret', 'signature', { secret: OTHER_SECRET }, /RELAY_SERVICE_SECRET: compare it on both sides/],
    [
      'a clock that is a minute ahead',
      'iat',
      { iat: 60, exp: 120 },
      /iat lies \d+ s in the future.*compare the clocks/,
    ],
    ['a clock that is 11 minutes ahead', 'iat', { iat: ten, exp: ten + 60 }, /iat lies \d+ s in the future.*clocks/],
    [
      'a clock that is 11 minutes behind',
      'exp',
      { iat: -ten, exp: 60 - ten },
      /expired \d+ s ago, after a life of 60 s.*clocks/,
    ],
    ['a life of an hour', 'exp', { exp: 3_600 }, /exp lies \d+ s in the future.*sign it for a shorter time/],
    ['an nbf to come', 'nbf', { nbf: 60 }, /not valid yet, or the clocks differ/],
    ['another audience', 'aud', { aud: AUDIENCE.api }, /aud is not groupcast-relay/],
  ])('refused for %s says so: %s', async (_what, fault, changes, said) => {
    const now = nowSeconds();
    const { secret = SERVICE_SECRET, ...times } = changes as { secret?: string };
    const absolute = Object.entries(times).map(([name, value]) => [
      name,
      typeof value === 'number' ? now + value : value,
    ]);
    const token = await sign(claims({ ...right, ...Object.fromEntries(absolute) }), secret);
    await expect(verifier.verify(token)).rejects.toMatchObject({
      code: 'SERVICE_TOKEN_INVALID',
      message: expect.stringMatching(said),
      details: { fault },
    });
  });

  test('with its scheme in front of it is accepted', async () => {
    expect(await outcome(verifier.verify(`Bearer ${await sign(claims(right), SERVICE_SECRET)}`))).toBe('accepted');
  });

  test.each(['HS384', 'HS512'])(
    'signed with %s and the right secret is refused: the token does not choose',
    async (alg) => {
      const secret = SERVICE_SECRET.repeat(2);
      const own = createServiceTokenVerifier({ secret, audience: AUDIENCE.relay });
      expect(await outcome(own.verify(await sign(claims(right), secret)))).toBe('accepted');
      expect(await outcome(own.verify(await sign(claims(right), secret, { alg })))).toBe('SERVICE_TOKEN_INVALID');
    },
  );

  test('is not what a user’s token is, even where the secrets are the same', async () => {
    const user = await signUserToken({ secret: SERVICE_SECRET, userId: 'alice', ttlSeconds: 60 });
    expect(await outcome(verifier.verify(user.token))).toBe('SERVICE_TOKEN_INVALID');
    const other = await signUserToken({ secret: OTHER_SECRET, userId: 'alice', ttlSeconds: 60 });
    expect(await outcome(verifier.verify(other.token))).toBe('SERVICE_TOKEN_INVALID');
  });

  test('is refused by its own code whatever stands in it, and never fails in another way', async () => {
    await fc.assert(
      fc.asyncProperty(fc.json(), fc.json(), async (header, payload) => {
        const token = signText(header, payload, SERVICE_SECRET);
        expect(await outcome(verifier.verify(token))).toBe('SERVICE_TOKEN_INVALID');
      }),
    );
  });

  test('is not accepted from anybody where the secret is empty', async () => {
    const open = createServiceTokenVerifier({ secret: '', audience: AUDIENCE.relay });
    const token = signText('{"alg":"HS256"}', JSON.stringify(claims(right)), '');
    expect(await outcome(open.verify(token))).toBe('SERVICE_TOKEN_INVALID');
  });
});
