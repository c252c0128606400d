import { TEST_SECRETS, tokenFor, tokenWith, until } from '@groupcast/testing';
import { signServiceToken } from '@groupcast/tokens';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type ApiStub, startApiStub } from './api-stub.ts';
import { openRawClient, type RawClient } from './raw-client.ts';
import { type RelayUnderTest, startRelayUnderTest } from './relay-harness.ts';

const APP = 'https://app.example.com';
const now = (): number => Math.floor(Date.now() / 1_000);

const opened: RawClient[] = [];
afterEach(() => {
  for (const client of opened.splice(0)) client.close();
});

async function open(relay: RelayUnderTest, headers: Record<string, string> = {}, query = ''): Promise<RawClient> {
  const client = await openRawClient(`${relay.url}/ws${query}`, { headers });
  opened.push(client);
  return client;
}

describe('a raw connection whose token is where AUTH_TOKEN_FROM says', () => {
  let relay: RelayUnderTest;
  beforeAll(async () => {
    relay = await startRelayUnderTest({
      RELAY_WS_PATH: '/ws',
      SOCKET_CORS_ORIGIN: APP,
      AUTH_TOKEN_FROM: 'auth,header,cookie:token,query:jwt',
    });
  });
  afterAll(async () => {
    await relay.close();
  });
  const bySession = (token: string) => ({ cookie: `theme=dark; token=${token}`, origin: APP });

  test('is signed in without a word of its own: header, cookie and query (G76)', async () => {
    const token = await tokenFor('alice', ['1']);
    for (const raw of [
      await open(relay, { authorization: `Bearer ${token}` }),
      await open(relay, bySession(token)),
      await open(relay, {}, `?jwt=${token}&sid=x`),
    ]) {
      expect(await raw.frame('joined-groups')).toMatchObject({ groups: [{ groupId: '1' }] });
      expect(raw.frames[0]).toEqual({ type: 'auth-success', socketId: expect.any(String) });
    }
  });

  test('a cookie that another site may have made the browser send is refused (G76)', async () => {
    const token = await tokenFor('alice', ['1']);
    await expect(open(relay, { ...bySession(token), origin: 'https://evil.example.com' })).rejects.toThrow(/400/);
    const foreign = await open(relay, { cookie: `token=${token}`, 'sec-fetch-site': 'cross-site' });
    expect(await foreign.frame('auth-error')).toMatchObject({ code: 'ORIGIN_FORBIDDEN', retryable: false });
    expect((await foreign.closed()).code).toBe(1008);
  });

  test('its page may say who it is as well, which renews the token, and only once', async () => {
    const raw = await open(relay, bySession(await tokenFor('alice', ['1'])));
    raw.send({ type: 'auth', token: await tokenFor('alice', ['1', '2']) });
    await until('two successes', () => raw.frames.filter(({ type }) => type === 'auth-success').length === 2);
    const [first, second] = raw.frames.filter(({ type }) => type === 'auth-success');
    expect(second).toEqual(first);
    expect(await raw.ask('join-group', { groupId: '2' })).toMatchObject({ groupId: '2' });
    raw.send({ type: 'auth', token: await tokenFor('alice', ['1']) });
    expect(await raw.frame('session-ending')).toMatchObject({ code: 'INVALID_PAYLOAD' });
    const silent = await open(relay, bySession(await tokenFor('alice', ['1'])));
    silent.send({ type: 'auth' });
    await until('two successes', () => silent.frames.filter(({ type }) => type === 'auth-success').length === 2);
  });

  test('a page that names another user than its cookie is told so, and closed', async () => {
    const raw = await open(relay, bySession(await tokenFor('alice', ['1'])));
    await raw.frame('auth-success');
    raw.send({ type: 'auth', token: await tokenFor('mallory', ['1']) });
    expect(await raw.frame('auth-error')).toMatchObject({ code: 'FORBIDDEN' });
    expect((await raw.closed()).code).toBe(1008);
  });

  test('a cookie that has expired keeps nobody out who says who it is', async () => {
    const stale = await tokenWith({ sub: 'alice', iat: now() - 100, exp: now() - 50 });
    const early = await open(relay, bySession(stale));
    early.send({ type: 'auth', token: await tokenFor('alice', ['1']) });
    early.send({ type: 'join-group', id: 1, groupId: '1' });
    expect(await early.frame('ack')).toMatchObject({ ok: true, groupId: '1' });
    const silent = await open(relay, bySession(stale));
    expect(await silent.frame('auth-error')).toMatchObject({ code: 'TOKEN_EXPIRED' });
    expect((await silent.closed()).code).toBe(1008);
    expect(early.frames.filter(({ type }) => type === 'auth-error')).toEqual([]);
  });

  test('a service token opens nothing here: back ends use Socket.IO or HTTP', async () => {
    const secret = TEST_SECRETS.RELAY_SERVICE_SECRET;
    const token = await signServiceToken({ secret, subject: 'api', scopes: ['broadcast'] });
    const raw = await open(relay);
    raw.send({ type: 'auth', token });
    expect(await raw.frame('auth-error')).toMatchObject({ code: 'TOKEN_INVALID' });
  });
});

describe('a raw connection with AUTH_BY=back-end', () => {
  let stub: ApiStub;
  let relay: RelayUnderTest;
  beforeAll(async () => {
    stub = await startApiStub();
    const env = { API_URL: stub.url, AUTH_BY: 'back-end', SOCKET_CORS_ORIGIN: APP, RELAY_WS_PATH: '/ws' };
    relay = await startRelayUnderTest(env);
  });
  afterAll(async () => {
    stub.release();
    await relay.close();
    await stub.close();
  });
  beforeEach(() => {
    stub.mode = 'answer';
    stub.members = new Set(['alice 7']);
    stub.connects.length = 0;
    stub.answerConnect = ({ cookie, auth }) =>
      cookie?.includes('session=s1') || auth['token'] === 'theirs'
        ? { body: { userId: 'alice', groups: ['7'], expiresAt: now() + 60 } }
        : { status: 401, body: { error: 'no such session' } };
  });

  test('is whom the back end says, by its cookie or by its first frame (G76)', async () => {
    const byCookie = await open(relay, { cookie: 'session=s1', origin: APP });
    expect(await byCookie.frame('joined-groups')).toMatchObject({ groups: [{ groupId: '7' }] });
    const byFrame = await open(relay, { cookie: 'theme=dark', origin: APP });
    byFrame.send({ type: 'auth', token: 'theirs', theme: 'dark', positions: {} });
    expect(await byFrame.frame('joined-groups')).toMatchObject({ groups: [{ groupId: '7' }] });
    expect(stub.connects.at(-1)).toMatchObject({ auth: { token: 'theirs', theme: 'dark' } });
    const nobody = await open(relay);
    nobody.send({ type: 'auth', token: 'wrong' });
    expect((await nobody.closed()).code).toBe(1008);
    expect(nobody.frames).toEqual([expect.objectContaining({ type: 'auth-error', code: 'TOKEN_INVALID' })]);
  });

  test('keeps a few frames while it is being asked about, in their order, and no more (G76)', async () => {
    stub.mode = 'hang';
    const [few, many, large] = [await open(relay), await open(relay), await open(relay)];
    for (const raw of [few, many, large]) raw.send({ type: 'auth', token: 'theirs' });
    await until('three questions', () => stub.connects.length === 3);
    for (const id of [1, 2, 3]) few.send({ type: 'leave-group', id, groupId: '9' });
    for (let id = 1; id < 10; id += 1) many.send({ type: 'leave-group', id, groupId: '9' });
    large.send({ type: 'leave-group', id: 1, groupId: 'x'.repeat(17_000) });
    expect(await many.frame('auth-error')).toMatchObject({ code: 'RATE_LIMITED' });
    expect((await many.closed()).code).toBe(1013);
    expect(await large.frame('auth-error')).toMatchObject({ code: 'PAYLOAD_TOO_LARGE' });
    expect((await large.closed()).code).toBe(1009);
    expect(few.frames).toEqual([]);
    stub.release();
    await few.frame('ack', ({ id }) => id === 3);
    expect(few.frames.flatMap(({ type, id }) => (type === 'ack' ? [id] : []))).toEqual([1, 2, 3]);
    expect(few.frames[0]).toMatchObject({ type: 'auth-success' });
  });

  test('a page’s own first frame, while its cookie is being checked, takes no room from what follows it (G76)', async () => {
    const leave = (id: number, length = 3_000) => ({
      type: 'leave-group',
      id,
      groupId: '9',
      more: 'x'.repeat(length),
    });
    const auth = { type: 'auth', more: 'x'.repeat(16_000) };
    /** A page that has sent frames while its cookie is being checked. */
    async function sendEarly(session: string, first: object, count: number): Promise<RawClient> {
      stub.mode = 'hang';
      const raw = await open(relay, { cookie: `session=${session}`, origin: APP });
      raw.send(first);
      for (let id = 1; id <= count; id += 1) raw.send(leave(id));
      return raw;
    }
    const bounded = await sendEarly('s1', auth, 6);
    expect(await bounded.frame('auth-error')).toMatchObject({ code: 'PAYLOAD_TOO_LARGE' });
    const accepted = await sendEarly('s1', auth, 5);
    await until('two questions', () => stub.connects.length === 2);
    stub.release();
    await accepted.frame('ack', ({ id }) => id === 5);
    expect(accepted.frames.filter(({ type }) => type === 'auth-success')).toHaveLength(2);
    const refused = await sendEarly('stale', { ...auth, token: 'theirs' }, 5);
    await until('the question about the cookie', () => stub.connects.length === 3);
    stub.release();
    stub.mode = 'hang';
    await until('the question about the frame', () => stub.connects.length === 4);
    refused.send(leave(6, 500));
    refused.send({ type: 'ping' });
    await refused.frame('pong');
    stub.release();
    await refused.frame('ack', ({ id }) => id === 6);
    expect(refused.frames.flatMap(({ type, id }) => (type === 'ack' ? [id] : []))).toEqual([1, 2, 3, 4, 5, 6]);
  });

  test('a back end that is down is told as an error that passes, and closed with 1013', async () => {
    stub.mode = 'fail';
    const raw = await open(relay);
    raw.send({ type: 'auth', token: 'theirs' });
    expect(await raw.frame('auth-error')).toMatchObject({ code: 'API_UNAVAILABLE', retryable: true });
    expect(await raw.closed()).toMatchObject({ code: 1013, reason: expect.stringMatching(/^API_UNAVAILABLE: /) });
    expect(raw.frames).toHaveLength(1);
  });
});
