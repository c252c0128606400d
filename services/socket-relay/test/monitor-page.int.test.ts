import { once } from 'node:events';
import { createServer, get, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import {
  AUDIENCE,
  type MonitorEvent,
  type MonitorState,
  type MonitorUser,
  type RelayTrace,
  type ServiceScope,
} from '@groupcast/shared';
import { TEST_SECRETS, until } from '@groupcast/testing';
import { signServiceToken } from '@groupcast/tokens';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { createEventStreams } from '../src/monitor-page/event-streams.ts';
import { type RelayUnderTest, startRelayUnderTest } from './relay-harness.ts';

async function serviceToken(scope: ServiceScope = 'monitor', ttlSeconds = 60): Promise<string> {
  const secret = TEST_SECRETS.RELAY_SERVICE_SECRET;
  return signServiceToken({ secret, scopes: [scope], subject: 'operator', audience: AUDIENCE.relay, ttlSeconds });
}

/** Reads Server-Sent Events as they come. */
function follow(url: string, cookie: string) {
  const heard: { name: string; data: unknown }[] = [];
  let ended = false;
  const request = get(url, { headers: { cookie } }, (answer) => {
    let text = '';
    answer.setEncoding('utf8');
    answer.on('data', (piece: string) => {
      text += piece;
      for (let end = text.indexOf('\n\n'); end >= 0; end = text.indexOf('\n\n')) {
        const [, name = 'comment', data = 'null'] = /event: (.*)\ndata: (.*)/.exec(text.slice(0, end)) ?? [];
        heard.push({ name, data: JSON.parse(data) });
        text = text.slice(end + 2);
      }
    });
    answer.on('close', () => (ended = true));
  });
  request.on('error', () => (ended = true));
  return {
    heard,
    events: () => heard.filter(({ name }) => name === 'happened').map(({ data }) => data as MonitorEvent),
    hasEnded: () => ended,
    close: () => void request.destroy(),
  };
}

describe('the monitor page', () => {
  let relay: RelayUnderTest;
  const opened: { close: () => void }[] = [];
  beforeAll(async () => {
    relay = await startRelayUnderTest();
  });
  afterAll(async () => relay.close());
  afterEach(() => {
    for (const each of opened.splice(0)) each.close();
  });

  const at = (path = ''): string => `${relay.internalUrl}/monitor${path}`;
  async function post(path: string, fields: Record<string, string>, headers: Record<string, string> = {}) {
    return fetch(at(path), { method: 'POST', body: new URLSearchParams(fields), redirect: 'manual', headers });
  }
  /** The cookie of a new session, as a browser sends it. */
  async function logIn(token?: string): Promise<string> {
    const answer = await post('', { token: token ?? (await serviceToken()) });
    return answer.headers.get('set-cookie')?.split(';', 1)[0] ?? '';
  }
  async function read<T>(path: string, cookie: string): Promise<T | [number, string]> {
    const answer = await fetch(at(path), { headers: { cookie } });
    const body = (await answer.json()) as { error?: { code: string } };
    return answer.ok ? (body as T) : [answer.status, body.error?.code ?? ''];
  }
  function watch(cookie: string) {
    const reader = follow(at('/events'), cookie);
    opened.push(reader);
    return reader;
  }

  test('without a login is a form for a service token, and nothing of it comes from elsewhere or runs inline (G89)', async () => {
    const answer = await fetch(at());
    const body = await answer.text();
    expect(answer.status).toBe(200);
    expect(body).toMatch(/<form method="post" action="\/monitor">/);
    expect(body).toMatch(/<input id="token" name="token"/);
    expect(body).not.toMatch(/<script(?! type="module" src="\/monitor\/)|<style|\son\w+=|https?:/);
    const policy = answer.headers.get('content-security-policy') ?? '';
    expect(policy).toContain("default-src 'none'; script-src 'self'; style-src 'self'");
    expect(policy).toContain("frame-ancestors 'none'");
    expect(policy).not.toContain('unsafe');
    expect(answer.headers.get('cache-control')).toBe('no-store');
    for (const path of ['/state', '/events', '/user?userId=a', '/trace?groupId=1&id=2'])
      expect([path, await read(path, '')]).toEqual([path, [401, 'SERVICE_TOKEN_INVALID']]);
  });

  test('gives a session for a token with the scope monitor, whose cookie holds no token and is for this path alone (G89)', async () => {
    const token = await serviceToken();
    const answer = await post('', { token });
    expect([answer.status, answer.headers.get('location')]).toEqual([303, '/monitor']);
    const cookie = answer.headers.get('set-cookie') ?? '';
    expect(cookie).toMatch(
      /^groupcast-monitor=[\w-]{43}; Path=\/monitor; Max-Age=(?:[3-5]\d|60); HttpOnly; SameSite=Strict$/,
    );
    expect(cookie).not.toContain(token.slice(0, 20));
    const page = await fetch(at(), { headers: { cookie: cookie.split(';', 1)[0] ?? '' } });
    expect(await page.text()).toMatch(/data-subject="operator" data-ends-in-ms="[1-9]\d{4}"/);
    // Other routes of the port know the cookie for nothing.
    const info = await fetch(`${relay.internalUrl}/v1/info`, { headers: { cookie } });
    expect(info.status).toBe(401);
    const secure = await post('', { token }, { origin: relay.internalUrl.replace('http:', 'https:') });
    expect(secure.headers.get('set-cookie')).toMatch(/; Secure$/);
  });

  test('refuses another scope, a wrong token, a page of another origin, and says why', async () => {
    const forbidden = await post('', { token: await serviceToken('broadcast') });
    expect([forbidden.status, forbidden.headers.get('set-cookie')]).toEqual([403, null]);
    expect(await forbidden.text()).toMatch(/role="alert">FORBIDDEN: /);
    const wrong = await post('', { token: '<b>x</b>' });
    expect(wrong.status).toBe(401);
    expect(await wrong.text()).not.toContain('<b>');
    const foreign = await post('', { token: await serviceToken() }, { origin: 'https://evil.test' });
    expect([foreign.status, foreign.headers.get('set-cookie')]).toEqual([403, null]);
    const noForm = await fetch(at(), { method: 'POST', body: '{}', headers: { 'content-type': 'application/json' } });
    expect(noForm.status).toBe(400);
    const large = await post('', { token: 'x'.repeat(20_000) });
    expect(large.status).toBe(413);
    expect(relay.logged.some(({ msg }) => msg === 'login to the monitor page refused')).toBe(true);
  });

  test('a session ends by logging out, and with its token, and so do its events', async () => {
    const cookie = await logIn();
    const reader = watch(cookie);
    await until('the stream', () => reader.heard.length > 0);
    const out = await post('/logout', {}, { cookie });
    expect(out.headers.get('set-cookie')).toMatch(/^groupcast-monitor=; Path=\/monitor; Max-Age=0; /);
    await until('its end', () => reader.hasEnded());
    expect(reader.heard.at(-1)).toEqual({ name: 'ended', data: { message: 'logged out' } });
    expect(await read('/state', cookie)).toEqual([401, 'SERVICE_TOKEN_INVALID']);

    const short = await logIn(await serviceToken('monitor', 4));
    expect(short).toMatch(/^groupcast-monitor=./);
    const cut = watch(short);
    await until('the end of the token', () => cut.hasEnded());
    expect(cut.heard.at(-1)).toEqual({ name: 'ended', data: { message: 'the token has expired' } });
    expect(await read('/state', short)).toEqual([401, 'SERVICE_TOKEN_INVALID']);
  });

  test('shows nodes, groups, users and live events, and no content of a message', async () => {
    const cookie = await logIn();
    const reader = watch(cookie);
    await until('the stream', () => reader.heard.length > 0);
    const alice = await relay.member('alice', ['page-1']);
    const { id } = await relay.broadcaster.broadcastMessage({ groupId: 'page-1', message: { text: 'for members' } });
    await relay.broadcaster.broadcastMessage({ groupId: 'page-nobody', message: {} });
    await until('the events', () => reader.events().filter(({ kind }) => kind === 'warning').length > 0);
    expect(reader.events()).toEqual(
      expect.arrayContaining([
        expect.objectContaining({ kind: 'connected', userId: 'alice', transport: 'websocket' }),
        expect.objectContaining({ kind: 'broadcast', id, groupId: 'page-1', connections: 1 }),
        expect.objectContaining({ kind: 'warning', code: 'NO_RECIPIENTS', groupId: 'page-nobody' }),
      ]),
    );
    expect(JSON.stringify(reader.heard)).not.toContain('for members');

    const state = (await until('the groups', async () => {
      const found = (await read<MonitorState>('/state?samples=180', cookie)) as MonitorState;
      return found.groups.some(({ deliveries }) => deliveries > 0) && found;
    })) as MonitorState;
    expect(state.silent).toEqual([]);
    expect(state.nodes).toMatchObject([
      { node: state.node, failing: [], degraded: [], warnings: [expect.objectContaining({ code: 'NO_RECIPIENTS' })] },
    ]);
    expect(state.nodes[0]?.connections).toBeGreaterThan(0);
    expect(state.groups[0]).toEqual({ groupId: 'page-1', connections: 1, events: 1, deliveries: 1 });
    const found = (await read<MonitorUser>('/user?userId=alice', cookie)) as MonitorUser;
    expect(found.nodes).toEqual([
      {
        node: state.node,
        connections: [{ socketId: alice.id, userId: 'alice', transport: 'websocket', groups: ['page-1'] }],
      },
    ]);
    const trace = (await read<RelayTrace>(`/trace?groupId=page-1&id=${id}`, cookie)) as RelayTrace;
    expect(trace.hops.find(({ hop }) => hop === 'written')).toMatchObject({ ok: true });
    expect(trace.recipients).toMatchObject([{ userId: 'alice', node: state.node, socketId: alice.id }]);
    const other = (await read<RelayTrace>(`/trace?groupId=page-1&id=${id}&userIds=carol`, cookie)) as RelayTrace;
    expect(other.recipients).toMatchObject([{ userId: 'carol', state: 'offline' }]);
    expect(await read('/user?userId=', cookie)).toEqual([400, 'INVALID_PAYLOAD']);
    expect(await read('/state?samples=9999', cookie)).toEqual([400, 'INVALID_PAYLOAD']);
    expect(await read('/trace?groupId=page-1', cookie)).toEqual([400, 'INVALID_PAYLOAD']);
  });

  test('a proof that somebody waits for is counted with its time', async () => {
    await relay.member('prover', ['page-2']);
    const { delivery } = await relay.broadcaster.broadcastMessage({
      groupId: 'page-2',
      message: {},
      expectedUserIds: ['prover', 'absent'],
      waitFor: 'proven',
    });
    expect(delivery).toMatchObject({ proven: ['prover'], absent: [{ userId: 'absent', why: 'offline' }] });
    const text = await (await fetch(`${relay.internalUrl}/metrics`)).text();
    expect(text).toMatch(/groupcast_relay_delivery_lag_seconds_count\{hop="proven"\} 1/);
    expect(text).toMatch(/groupcast_relay_delivery_lag_seconds_count\{hop="written"\} [1-9]/);
    expect(text).toMatch(/groupcast_relay_absent_total\{why="offline"\} 1/);
  });

  // The last one: this address may try no token for a while after it.
  test('a wrong token may be tried ten times a minute, and then no token at all', async () => {
    const tried: number[] = [];
    for (let n = 0; n < 12; n += 1) tried.push((await post('', { token: 'wrong' })).status);
    expect(tried.filter((status) => status === 401).length).toBeLessThanOrEqual(10);
    const limited = await post('', { token: await serviceToken() });
    expect([limited.status, limited.headers.get('set-cookie')]).toEqual([429, null]);
    expect(Number(limited.headers.get('retry-after'))).toBeGreaterThan(0);
  });
});

describe('the events of the monitor page', () => {
  const closing: (() => void)[] = [];
  afterEach(() => {
    for (const close of closing.splice(0)) close();
  });

  async function openStreams(options: Parameters<typeof createEventStreams>[1]) {
    const watched: boolean[] = [];
    const streams = createEventStreams(
      { onWatched: (isWatched) => void watched.push(isWatched), isOpen: async () => true },
      options,
    );
    const server = createServer((_request: IncomingMessage, response: ServerResponse) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      streams.open(response, { id: 'session', endsInMs: 60_000 });
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    closing.push(() => {
      streams.stop();
      server.closeAllConnections();
      server.close();
    });
    return { streams, watched, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` };
  }
  const joined = (n: number): MonitorEvent => {
    return { kind: 'joined', at: n, node: 'n', socketId: 's', userId: 'u'.repeat(1_000), groupId: 'g' };
  };

  test('a reader that does not read is cut, and told when it reads on', async () => {
    const { streams, watched, url } = await openStreams({ maxWaitingBytes: 100_000, shownPerSecond: 1e6 });
    const request = get(url);
    closing.push(() => void request.destroy());
    const [answer] = (await once(request, 'response')) as [IncomingMessage];
    answer.pause();
    for (let n = 0; watched.length < 2; n += 1) {
      streams.show(joined(n));
      if (n % 100 === 0) await new Promise(setImmediate);
    }
    expect(watched).toEqual([true, false]);
    let text = '';
    answer.setEncoding('utf8').on('data', (piece: string) => (text += piece));
    answer.resume();
    await until('the reason', () => text.includes('event: cut\ndata: {"message":"the page reads too slowly'));
  });

  test('more than a page can show in a second are counted, and warnings are shown all the same', async () => {
    const { streams, url, watched } = await openStreams({ shownPerSecond: 3 });
    const reader = follow(url, '');
    closing.push(reader.close);
    await until('the stream', () => watched.length === 1 && reader.heard.length > 0);
    for (let n = 0; n < 10; n += 1) streams.show(joined(n));
    streams.show({ kind: 'warning', at: 99, node: 'n', code: 'C', message: 'm' });
    await until('the count', () => reader.heard.some(({ name }) => name === 'skipped'));
    expect(reader.events().map(({ at: when }) => when)).toEqual([0, 1, 2, 99]);
    expect(reader.heard.find(({ name }) => name === 'skipped')?.data).toEqual({ events: 7 });
  });

  test('a reader hears something when nothing happens', async () => {
    const { url } = await openStreams({ beatMs: 20 });
    const reader = follow(url, '');
    closing.push(reader.close);
    await until('two beats', () => reader.heard.filter(({ name }) => name === 'comment').length >= 2);
  });
});
