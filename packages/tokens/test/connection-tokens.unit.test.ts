import { AUDIENCE, type UserClaims } from '@groupcast/shared';
import { describe, expect, test } from 'vitest';
import { createUserTokenVerifier, signConnectionToken } from '../src/index.ts';
import { CONNECTION_SECRET, claims, nowSeconds, OTHER_SECRET, outcome, sign, USER_SECRET } from './forge.ts';

const verifier = createUserTokenVerifier({ secret: USER_SECRET, connectionSecret: CONNECTION_SECRET });

function userFor(seconds: number): UserClaims {
  const issuedAt = nowSeconds();
  return { kind: 'user', userId: 'alice', issuedAt, expiresAt: issuedAt + seconds, groups: [], profile: {} };
}

describe('a connection token', () => {
  test('stands for its user, with the groups and the time it was signed with', async () => {
    const issuedAt = nowSeconds() - 5;
    const options = { secret: CONNECTION_SECRET, user: userFor(3_600), groups: ['1', 'b'], issuedAt };
    const { token, expiresAt } = await signConnectionToken(options);
    const expected = { kind: 'connection', userId: 'alice', groups: ['1', 'b'], issuedAt, expiresAt };
    expect(await verifier.verify(token)).toMatchObject(expected);
  });

  test('lasts ten minutes, and not longer than the user token', async () => {
    const issuedAt = nowSeconds();
    const options = { secret: CONNECTION_SECRET, groups: [], issuedAt };
    const long = await signConnectionToken({ ...options, user: userFor(3_600) });
    expect(long.expiresAt).toBe(issuedAt + 600);
    const user = userFor(60);
    const short = await signConnectionToken({ ...options, user });
    expect(short.expiresAt).toBe(user.expiresAt);
    expect((await verifier.verify(short.token)).expiresAt).toBe(user.expiresAt);
  });

  test('is verified with the connection secret only (G10)', async () => {
    const forConnection = claims({ aud: AUDIENCE.connection });
    expect(await outcome(verifier.verify(await sign(forConnection, CONNECTION_SECRET)))).toBe('accepted');
    expect(await outcome(verifier.verify(await sign(forConnection, USER_SECRET)))).toBe('TOKEN_INVALID');
    expect(await outcome(verifier.verify(await sign(forConnection, OTHER_SECRET)))).toBe('TOKEN_INVALID');
  });

  test('is what its audience makes it: the connection secret signs no user token', async () => {
    expect(await outcome(verifier.verify(await sign(claims(), CONNECTION_SECRET)))).toBe('TOKEN_INVALID');
    const other = await sign(claims({ aud: 'other' }), CONNECTION_SECRET);
    expect(await outcome(verifier.verify(other))).toBe('TOKEN_INVALID');
  });

  test('that was signed for more than ten minutes is refused, even with the right secret', async () => {
    const forConnection = (exp: number): Promise<string> =>
      sign(claims({ aud: AUDIENCE.connection, exp }), CONNECTION_SECRET);
    expect(await outcome(verifier.verify(await forConnection(nowSeconds() + 590)))).toBe('accepted');
    expect(await outcome(verifier.verify(await forConnection(nowSeconds() + 620)))).toBe('TOKEN_INVALID');
    expect(await outcome(verifier.verify(await forConnection(nowSeconds() + 86_400)))).toBe('TOKEN_INVALID');
  });

  test('that has expired, and that is all: TOKEN_EXPIRED', async () => {
    const times = { iat: nowSeconds() - 120, exp: nowSeconds() - 60 };
    const expired = claims({ aud: AUDIENCE.connection, ...times });
    expect(await outcome(verifier.verify(await sign(expired, CONNECTION_SECRET)))).toBe('TOKEN_EXPIRED');
    expect(await outcome(verifier.verify(await sign(expired, USER_SECRET)))).toBe('TOKEN_INVALID');
  });

  test('is not asked for the issuer and audience of user tokens', async () => {
    const own = createUserTokenVerifier({
      secret: USER_SECRET,
      connectionSecret: CONNECTION_SECRET,
      issuer: 'https://id.example.com',
      audience: 'chat',
    });
    const token = await sign(claims({ aud: AUDIENCE.connection }), CONNECTION_SECRET);
    expect(await outcome(own.verify(token))).toBe('accepted');
  });

  test('by the previous connection secret is accepted while there is one', async () => {
    const token = await sign(claims({ aud: AUDIENCE.connection }), OTHER_SECRET);
    const rotating = createUserTokenVerifier({
      secret: USER_SECRET,
      connectionSecret: CONNECTION_SECRET,
      previousConnectionSecret: OTHER_SECRET,
    });
    expect(await outcome(rotating.verify(token))).toBe('accepted');
    expect(await outcome(rotating.verify(await sign(claims(), OTHER_SECRET)))).toBe('TOKEN_INVALID');
  });

  test('is refused where there is no connection secret', async () => {
    const own = createUserTokenVerifier({ secret: USER_SECRET });
    const token = await sign(claims({ aud: AUDIENCE.connection }), USER_SECRET);
    expect(await outcome(own.verify(token))).toBe('TOKEN_INVALID');
  });
});
