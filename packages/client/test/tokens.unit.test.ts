import { tokenWith } from '@groupcast/testing';
import { describe, expect, test } from 'vitest';
import { peek } from '../src/api/jwt.ts';
import { createUserTokens } from '../src/api/user-token.ts';
import { createConnectionTokens } from '../src/connection/connection-token.ts';
import { manualClock } from './manual-clock.ts';

/** By a clock that is an hour ahead of ours: only the difference of the two times may count. */
const ISSUED = Math.floor(Date.now() / 1_000) + 3_600;
const jwt = async (seconds: number, sub = 'zoë'): Promise<string> =>
  tokenWith({ sub, iat: ISSUED, exp: ISSUED + seconds });

describe('tokens', () => {
  test('the claims of a token', async () => {
    expect(peek(await jwt(600))).toEqual({ userId: 'zoë', lifetimeMs: 600_000 });
    for (const opaque of ['', 'abc', 'a.b.c', 'a.e30.c']) {
      expect(peek(opaque)).toEqual({ userId: undefined, lifetimeMs: undefined });
    }
  });

  test('a connection token is used for every reconnect until 30 s before its end', async () => {
    const clock = manualClock();
    let fetched = 0;
    const tokens = createConnectionTokens({
      fetchToken: async () => {
        fetched += 1;
        return { token: await jwt(600), relayUrl: 'http://relay' };
      },
      relayUrl: undefined,
      clock,
      random: () => 0,
    });
    const first = await tokens.get();
    expect(first).toMatchObject({ relayUrl: 'http://relay', userId: 'zoë', renewAt: 540_000 });
    await clock.advance(569_000);
    expect(await tokens.get()).toBe(first);
    expect(fetched).toBe(1);
    await clock.advance(1_000);
    await tokens.get();
    expect(fetched).toBe(2);
    tokens.drop();
    await Promise.all([tokens.get(), tokens.get(), tokens.renew()]);
    expect(fetched).toBe(3);
  });

  test('tokens that were fetched in the same moment are renewed over a fifth of their life', async () => {
    const renewals = [0, 0.5, 1].map(async (share) => {
      const fetchToken = async () => ({ token: await jwt(600), relayUrl: '' });
      const tokens = createConnectionTokens({
        fetchToken,
        relayUrl: undefined,
        clock: manualClock(),
        random: () => share,
      });
      return (await tokens.get()).renewAt;
    });
    expect(await Promise.all(renewals)).toEqual([540_000, 486_000, 432_000]);
  });

  test('another user’s token is refused', async () => {
    const users = ['alice', 'mallory'];
    const tokens = createConnectionTokens({
      fetchToken: async () => ({ token: await jwt(600, users.shift()), relayUrl: 'http://relay' }),
      relayUrl: 'http://mine',
      clock: manualClock(),
      random: () => 0,
    });
    expect((await tokens.get()).relayUrl).toBe('http://mine');
    await expect(tokens.renew()).rejects.toMatchObject({ code: 'FORBIDDEN' });
    expect(tokens.userId).toBe('alice');
  });

  test('the application is asked for a user token when it is needed, not for every request', async () => {
    const clock = manualClock();
    let asked = 0;
    const tokens = createUserTokens(async () => {
      asked += 1;
      return jwt(600);
    }, clock);
    await Promise.all([tokens.get(), tokens.get()]);
    const token = await tokens.get();
    expect([asked, tokens.userId]).toEqual([1, 'zoë']);
    await clock.advance(571_000);
    await tokens.get();
    expect(asked).toBe(2);
    tokens.refuse(`${token}x`);
    await tokens.get();
    expect(asked).toBe(2);
    tokens.refuse(await tokens.get());
    await tokens.get();
    expect(asked).toBe(3);
  });

  test('nobody logged in is final, a failure is not', async () => {
    await expect(createUserTokens(() => null, manualClock()).get()).rejects.toMatchObject({
      code: 'TOKEN_MISSING',
      retryable: false,
    });
    const clock = manualClock();
    const hanging = createUserTokens(async () => new Promise(() => undefined), clock).get();
    const [outcome] = await Promise.all([hanging.catch((error: unknown) => error), clock.advance(30_000)]);
    expect(outcome).toMatchObject({ code: 'TOKEN_UNAVAILABLE', retryable: true });
    const failing = createUserTokens(async () => Promise.reject(new Error('offline')), manualClock());
    await expect(failing.get()).rejects.toMatchObject({ code: 'TOKEN_UNAVAILABLE', retryable: true });
  });
});
