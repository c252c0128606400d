import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { received, TEST_SECRETS, tokenFor, tokenWith, until } from '@groupcast/testing';
import { signServiceToken } from '@groupcast/tokens';
import { exportJWK, exportSPKI, generateKeyPair, SignJWT } from 'jose';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openRawClient } from './raw-client.ts';
import { ask, type RelayUnderTest, refusal, startRelayUnderTest } from './relay-harness.ts';

const now = (): number => Math.floor(Date.now() / 1_000);

describe('the relay refuses, each with its code', () => {
  let relay: RelayUnderTest;
  beforeAll(async () => {
    relay = await startRelayUnderTest({ SOCKET_CORS_ORIGIN: 'https://app.example.com', RELAY_WS_PATH: '/ws' });
  });
  afterAll(async () => {
    await relay.close();
  });

  test('the literal that everybody knows', async () => {
    expect(await refusal(relay.client({ token: 'api-server', type: 'api' }))).toBe('SERVICE_TOKEN_INVALID');
  });

  test('a user’s token on a connection of type api or monitor', async () => {
    const token = await tokenFor('alice', ['1']);
    expect(await refusal(relay.client({ token, type: 'api' }))).toBe('SERVICE_TOKEN_INVALID');
    expect(await refusal(relay.client({ token, type: 'monitor' }))).toBe('SERVICE_TOKEN_INVALID');
  });

  test('a service token as a user’s, and one without the scope', async () => {
    const options = { secret: TEST_SECRETS.RELAY_SERVICE_SECRET, subject: 'test' };
    const monitor = await signServiceToken({ ...options, scopes: ['monitor'] });
    expect(await refusal(relay.client({ token: monitor }))).toBe('TOKEN_INVALID');
    expect(await refusal(relay.client({ token: monitor, type: 'api' }))).toBe('SERVICE_TOKEN_INVALID');
  });

  test('… each with its cause in the log, and in the answer where it is development', async () => {
    const claims = { sub: 'alice', iat: now(), exp: now() + 60 };
    const production = await startRelayUnderTest({ NODE_ENV: 'production', RELAY_HOST: 'localhost' });
    try {
      for (const [fault, token] of [
        ['signature', await tokenWith(claims, 'another secret')],
        ['iat', await tokenWith({ ...claims, iat: now() + 60 })],
        ['sub', await tokenWith({ iat: now(), exp: now() + 60 })],
      ]) {
        for (const each of [relay, production]) {
          const error = await received<Error & { data: { details?: object } }>(each.client({ token }), 'connect_error');
          expect(error.data.details).toEqual(each === relay ? { fault } : undefined);
          expect(each.logged).toContainEqual(
            expect.objectContaining({ code: 'TOKEN_INVALID', fault, reason: expect.any(String) }),
          );
        }
      }
      const prefixed = relay.client({ token: `Bearer ${await tokenFor('alice')}` });
      expect(await received(prefixed, 'joined-groups')).toEqual({ groups: [] });
    } finally {
      await production.close();
    }
  });

  test('a type that is none', async () => {
    expect(await refusal(relay.client({ token: await tokenFor('alice'), type: 'admin' }))).toBe('INVALID_PAYLOAD');
  });

  test.each([['websocket'], ['polling']] as const)(
    'an auth.userId that is not the user of the token, on %s: it is never believed',
    async (transport) => {
      const options = { transports: [transport] };
      const token = await tokenWith({ sub: '42', iat: now(), exp: now() + 60 });
      for (const userId of ['43', 'alice', '', {}, ['42'], true, 42.5, '<img src=x onerror=alert(1)>']) {
        const error = await received<Error & { data: { code: string; retryable: boolean } }>(
          relay.client({ token, userId }, options),
          'connect_error',
        );
        expect(error.data).toMatchObject({ code: 'FORBIDDEN', retryable: false });
        expect(error.message).toMatch(/auth\.userId is not the user that the token names/);
        expect(error.message).not.toMatch(/[<>]/);
      }
      for (const userId of ['42', 42, null]) {
        expect(await received(relay.client({ token, userId }, options), 'joined-groups')).toEqual({ groups: [] });
      }
      // Without a token it names nobody.
      expect(await refusal(relay.client({ userId: '42' }, options))).toBe('TOKEN_MISSING');
      expect(await refusal(relay.client({ userId: '42', token: 'x' }, options))).toBe('TOKEN_INVALID');
    },
  );

  test.each([['websocket'], ['polling']] as const)('an origin that is not allowed, on %s (G10)', async (transport) => {
    const options = { transports: [transport], extraHeaders: { origin: 'https://evil.example.com' } };
    const socket = relay.client({ token: await tokenFor('alice') }, options);
    const error = await received<Error & { context?: unknown; description?: unknown }>(socket, 'connect_error');
    expect(error.message).toMatch(transport === 'websocket' ? /websocket error/ : /xhr poll error/);
    const status = JSON.stringify([error.description, (error.context as { status?: number } | undefined)?.status]);
    if (transport === 'polling') expect(status).toContain('403');
    expect(relay.logged).toContainEqual(expect.objectContaining({ code: 'ORIGIN_FORBIDDEN' }));
  });

  test('… and says so in the body, on both transports', async () => {
    const headers = { origin: 'https://evil.example.com' };
    const poll = await fetch(`${relay.url}/socket.io/?EIO=4&transport=polling`, { headers });
    expect([poll.status, await poll.text()]).toEqual([403, expect.stringContaining('ORIGIN_FORBIDDEN')]);
    const allowed = await fetch(`${relay.url}/socket.io/?EIO=4&transport=polling`, {
      headers: { origin: 'https://app.example.com' },
    });
    expect([allowed.status, allowed.headers.get('access-control-allow-origin')]).toEqual([
      200,
      'https://app.example.com',
    ]);
  });

  test('a group named like a room reaches nobody but its members', async () => {
    const [alice, bob] = [await relay.member('alice', ['1']), await relay.member('bob', ['user-alice'])];
    const heard: string[] = [];
    alice.onAny((event: string) => heard.push(event));
    const answer = await relay.broadcaster.broadcastMessage({ groupId: 'user-alice', message: { text: 'x' } });
    expect(answer.recipients.connections).toBe(1);
    expect(await ask(bob, 'join-group', { groupId: 'user-alice' })).toMatchObject({ groupId: 'user-alice' });
    await ask(alice, 'leave-group', { groupId: 'none' });
    expect(heard).toEqual([]);
  });

  test('events whose name is no string, and go on', async () => {
    const alice = await relay.member('alice', ['1']);
    const answers: unknown[] = [];
    // 7 is the event's name: Socket.IO's parser lets it through.
    alice.emit(7 as unknown as string, {}, (answer: unknown) => answers.push(answer));
    await until('the answer', () => answers.length > 0);
    expect(answers).toEqual([{ ok: false, error: expect.objectContaining({ code: 'UNKNOWN_EVENT' }) }]);
    // The engine puts its own 4 in front.
    for (const packet of ['2[7]', '2[{}]', '2[null]', '2', '21', '2[]', '4{}', '9', '']) {
      const hacker = await relay.member('mallory', ['1']);
      hacker.io.engine.write(packet);
      await ask(alice, 'leave-group', { groupId: 'none' });
    }
    expect(await ask(alice, 'join-group', { groupId: '1' })).toMatchObject({ groupId: '1' });
  });

  test('a message of one byte too many, and takes one of exactly the limit', async () => {
    const overhead = JSON.stringify({ text: '' }).length;
    const fits = { groupId: '1', message: { text: 'x'.repeat(65_536 - overhead) } };
    await expect(relay.broadcaster.broadcastMessage(fits)).resolves.toMatchObject({ groupId: '1' });
    const tooLarge = { groupId: '1', message: { text: 'x'.repeat(65_537 - overhead) } };
    await expect(relay.broadcaster.broadcastMessage(tooLarge)).rejects.toMatchObject({
      code: 'PAYLOAD_TOO_LARGE',
      retryable: false,
    });
    const wide = { groupId: '1', message: { text: 'é'.repeat(32_768) } };
    await expect(relay.broadcaster.broadcastMessage(wide)).rejects.toMatchObject({ code: 'PAYLOAD_TOO_LARGE' });
  });

  test('a second CONNECT on one connection, which is closed', async () => {
    const alice = await relay.member('alice', ['1']);
    const closed = received<string>(alice, 'disconnect');
    const { engine } = alice.io;
    engine.write(`0${JSON.stringify({ token: await tokenFor('mallory') })}`);
    expect(await closed).toBe('transport close');
  });

  test('many CONNECT packets at once: one connection never becomes two sockets', async () => {
    const token = await tokenFor('pipeliner', ['1']);
    const response = await fetch(`${relay.url}/socket.io/?EIO=4&transport=polling`);
    const { sid } = JSON.parse((await response.text()).slice(1)) as { sid: string };
    const body = Array.from({ length: 10 }, () => `40${JSON.stringify({ token })}`).join('\u001e');
    await fetch(`${relay.url}/socket.io/?EIO=4&transport=polling&sid=${sid}`, { method: 'POST', body });
    await until('the connection to be closed', async () => {
      const poll = await fetch(`${relay.url}/socket.io/?EIO=4&transport=polling&sid=${sid}`);
      return poll.status === 400;
    });
    const { recipients } = await relay.broadcaster.notifyUsers({ userIds: ['pipeliner'], event: 'ping-me', data: {} });
    expect(recipients).toBe(0);
  });

  test('a connection that does not authenticate within 5 s, by either door', async () => {
    const raw = await openRawClient(`${relay.url}/ws`);
    const response = await fetch(`${relay.url}/socket.io/?EIO=4&transport=polling`);
    const { sid } = JSON.parse((await response.text()).slice(1)) as { sid: string };
    const closed = await until('the silent connection to be closed', async () => {
      const poll = await fetch(`${relay.url}/socket.io/?EIO=4&transport=polling&sid=${sid}`);
      const text = await poll.text();
      return poll.status === 400 || text === '1';
    });
    expect(closed).toBe(true);
    expect(await raw.closed()).toMatchObject({ code: 1008, reason: expect.stringMatching(/^TOKEN_MISSING: /) });
    expect(raw.frames).toEqual([expect.objectContaining({ type: 'auth-error', code: 'TOKEN_MISSING' })]);
  });
});

describe('with a JWKS', () => {
  let server: Server;
  let relay: RelayUnderTest;
  let sign: (claims: object) => Promise<string>;
  let publicKeyPem: string;
  let isUp = true;

  beforeAll(async () => {
    const { publicKey, privateKey } = await generateKeyPair('RS256', { extractable: true });
    publicKeyPem = await exportSPKI(publicKey);
    const jwk = { ...(await exportJWK(publicKey)), kid: 'one', alg: 'RS256', use: 'sig' };
    server = createServer((_request, response) => {
      response.writeHead(isUp ? 200 : 503).end(JSON.stringify({ keys: [jwk] }));
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    relay = await startRelayUnderTest({
      JWT_JWKS_URL: `http://127.0.0.1:${(server.address() as AddressInfo).port}/jwks.json`,
      CONNECTION_TOKEN_SECRET: 'connection-tokens-of-the-tests-0123456789',
      JWT_GROUPS_CLAIM: 'chat_groups',
    });
    sign = async (claims) =>
      new SignJWT({ ...claims })
        .setProtectedHeader({ alg: 'RS256', kid: 'one' })
        .setIssuedAt()
        .setExpirationTime('5m')
        .sign(privateKey);
  });
  afterAll(async () => {
    await relay.close();
    await new Promise((resolve) => server.close(resolve));
  });

  // The first one here: keys that were read once are used.
  test('while its keys cannot be read, a stock client stays at it, and is let in when they can', async () => {
    isUp = false;
    const token = await sign({ sub: 'auth0|alice', chat_groups: [7] });
    const options = { reconnection: true, reconnectionDelay: 50 };
    const clients = [['websocket'], ['polling']].map((transports) =>
      relay.client({ token }, { ...options, transports }),
    );
    const refused: unknown[] = [];
    for (const client of clients) client.on('connect_error', (error) => refused.push(error));
    await Promise.all(clients.map(async (client) => received(client, 'disconnect')));
    isUp = true;
    await Promise.all(clients.map(async (client) => received(client, 'joined-groups')));
    expect(refused).toEqual([]);
    for (const client of clients) client.close();
    const metrics = await (await fetch(`${relay.internalUrl}/metrics`)).text();
    expect(metrics).toMatch(/^groupcast_relay_jwks_stale_seconds 0$/m);
  });

  test('a token of the identity provider is let in, with the groups of the claim that was named', async () => {
    const socket = relay.client({ token: await sign({ sub: 'auth0|alice', groups: ['directory'], chat_groups: [7] }) });
    expect(await received(socket, 'joined-groups')).toEqual({ groups: [{ groupId: '7', position: null }] });
  });

  test('HS256 signed with the public key, or with the user secret of before, is refused', async () => {
    const claims = { sub: 'alice', iat: now(), exp: now() + 60 };
    expect(await refusal(relay.client({ token: await tokenWith(claims, publicKeyPem) }))).toBe('TOKEN_INVALID');
    expect(await refusal(relay.client({ token: await tokenWith(claims) }))).toBe('TOKEN_INVALID');
  });
});
