import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';
import { createContext, runInContext } from 'node:vm';
import { startPathProxy, TEST_SECRETS } from '@groupcast/testing';
import { build } from 'esbuild';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { createHttpBroadcaster, type Fetch, type HttpBroadcaster, type HttpBroadcasterOptions } from '../src/http.ts';
import { describePublisher, failure, type PublisherBackend, signedBy } from './publisher.suite.ts';

const SECRET = TEST_SECRETS.RELAY_SERVICE_SECRET;

/** The globals that edge runtimes have in common, and nothing of Node. */
const EDGE = {
  AbortController,
  AbortSignal,
  btoa,
  crypto,
  fetch,
  Request,
  TextDecoder,
  TextEncoder,
  URL,
  URLSearchParams,
};

export interface HttpDeps extends Omit<PublisherBackend, 'open'> {
  port: () => number;
  internalPort: () => number;
}

/** The promises of a broadcaster over HTTP: those of every publisher, and its own. */
export function describeHttp({ port, internalPort, listen, newGroup }: HttpDeps): void {
  const servers: Server[] = [];
  afterEach(() => {
    for (const server of servers.splice(0)) {
      server.closeAllConnections();
      server.close();
    }
  });
  const internalUrl = (): string => `http://127.0.0.1:${internalPort()}`;

  function open(options: Partial<HttpBroadcasterOptions> = {}): HttpBroadcaster {
    const auth = options.tokenProvider ? {} : { serviceSecret: SECRET };
    return createHttpBroadcaster({ url: internalUrl(), ...auth, ...options });
  }

  describePublisher('over HTTP', { open, listen, newGroup });

  /** The URL of a server that answers as the test says, and what it was asked. */
  async function answering(
    answer: (response: ServerResponse, request: IncomingMessage) => void,
  ): Promise<{ url: string; asked: IncomingMessage[] }> {
    const asked: IncomingMessage[] = [];
    const server = createServer((request, response) => {
      asked.push(request);
      request.resume().once('end', () => answer(response, request));
    });
    servers.push(server);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, asked };
  }

  const broadcast = async (options: Partial<HttpBroadcasterOptions>) =>
    open(options).broadcastMessage({ groupId: 1, message: {} });

  describe('a call over HTTP', () => {
    test('is one request, also where it fails', async () => {
      const { url, asked } = await answering((response) => response.writeHead(503).end());
      expect(await failure(broadcast({ url }))).toMatchObject({ code: 'RELAY_UNAVAILABLE', retryable: true });
      expect(asked.map(({ method, url: path }) => `${method} ${path}`)).toEqual(['POST /v1/broadcast']);
    });

    test('takes the fetch that it is given', async () => {
      const urls: string[] = [];
      const given: Fetch = async (url, init) => {
        urls.push(url);
        return fetch(url, init);
      };
      const groupId = newGroup();
      await open({ fetch: given }).broadcastMessage({ groupId, message: {} });
      expect(urls).toEqual([`${internalUrl()}/v1/broadcast`]);
    });

    test('goes below the path of its URL', async () => {
      const site = await startPathProxy(internalPort(), '/rt');
      const groupId = newGroup();
      expect((await open({ url: `${site.url}/` }).broadcastMessage({ groupId, message: {} })).position?.seq).toBe(1);
      await site.close();
    });

    test('takes the public port as well, where the relay serves the broadcast API there', async () => {
      const groupId = newGroup();
      await listen('alice', groupId);
      const broadcaster = open({ url: `http://127.0.0.1:${port()}` });
      const input = { groupId, message: {}, expectedUserIds: ['alice'], withinMs: 5_000 };
      const answer = await broadcaster.broadcastMessage(input);
      expect(answer).toMatchObject({ recipients: { connections: 1 }, delivery: { proven: ['alice'] } });
      expect(await broadcaster.getTrace({ groupId, id: answer.id })).toMatchObject({ summary: { proven: 1 } });
      expect(await broadcaster.getPresence({ groupId })).toMatchObject({ numUsers: 1 });
    });

    test('ends at its deadline, with `withinMs` on top, whether or not fetch knows of the signal', async () => {
      const { url } = await answering(() => undefined);
      const late = `the relay at ${url} did not answer within 200 ms`;
      for (const given of [undefined, (async () => new Promise(() => undefined)) as Fetch]) {
        const error = await failure(broadcast({ url, timeoutMs: 200, fetch: given }));
        expect(error).toMatchObject({ code: 'RELAY_UNAVAILABLE', retryable: true });
        expect(error.message).toBe(`unable to send api-broadcast-message; ${late}`);
      }
      const input = { groupId: 1, message: {}, expectedUserIds: ['bob'], withinMs: 100 };
      const expecting = await failure(open({ url, timeoutMs: 200 }).broadcastMessage(input));
      expect(expecting.message).toContain('did not answer within 300 ms');
    });

    test('ends at its deadline in the middle of an answer', async () => {
      const { url } = await answering((response) => response.writeHead(200).write('{"ok":'));
      expect((await failure(broadcast({ url, timeoutMs: 300 }))).message).toContain('did not answer within 300 ms');
    });

    test('reads no more of an answer than it may be long', async () => {
      const { url } = await answering((response) => {
        response.writeHead(200);
        const more = (): void => {
          while (!response.destroyed && response.write(Buffer.alloc(1_048_576, ' ')));
        };
        response.on('drain', more);
        more();
      });
      const error = await failure(broadcast({ url }));
      expect(error).toMatchObject({ code: 'PAYLOAD_TOO_LARGE', retryable: false });
      expect(error.message).toContain('the answer is larger than 16777216 bytes');
    });

    test('asks its provider for a token each time', async () => {
      const tokenProvider = vi.fn<() => Promise<string>>(signedBy(SECRET, 'broadcast'));
      const broadcaster = open({ tokenProvider });
      for (const id of [1, 2]) await broadcaster.broadcastMessage({ groupId: newGroup(), id, message: {} });
      expect(tokenProvider).toHaveBeenCalledTimes(2);
    });

    test('whose token lacks the scope is FORBIDDEN, and says which', async () => {
      const error = await failure(broadcast({ tokenProvider: signedBy(SECRET, 'monitor') }));
      expect(error).toMatchObject({ code: 'FORBIDDEN', retryable: false });
      expect(error.message).toContain('lacks the scope "broadcast"');
    });
  });

  describe('an answer that is not of a relay', () => {
    test.each<[string, number, Record<string, string>, string, object]>([
      ['a page', 200, {}, '<html>', { code: 'RELAY_UNAVAILABLE', retryable: true }],
      ['JSON of something else', 200, {}, '{"fine":1}', { code: 'RELAY_UNAVAILABLE', retryable: true }],
      ['nothing at all', 204, {}, '', { code: 'RELAY_UNAVAILABLE', retryable: true }],
      ['a proxy without a relay', 502, {}, '<html>', { code: 'RELAY_UNAVAILABLE', retryable: true }],
      ['a proxy that slows down', 429, { 'retry-after': '7' }, '', { code: 'RATE_LIMITED', retryAfterMs: 7_000 }],
      ['a proxy that is away', 503, { 'retry-after': '2' }, 'x', { code: 'RELAY_UNAVAILABLE', retryAfterMs: 2_000 }],
      [
        'a date to come again',
        503,
        { 'retry-after': 'Thu, 01 Jan 2099 00:00:00 GMT' },
        '',
        { retryAfterMs: undefined },
      ],
      ['a proxy that takes less', 413, {}, '<html>', { code: 'PAYLOAD_TOO_LARGE', retryable: false }],
      ['a URL that is too long', 431, {}, '', { code: 'PAYLOAD_TOO_LARGE', retryable: false }],
      ['a code that is not known', 418, {}, '{"error":{"code":"TEAPOT","message":"short"}}', { code: 'INTERNAL' }],
      ['an error that is none', 500, {}, '{"error":null}', { code: 'RELAY_UNAVAILABLE' }],
      [
        'an error with other fields',
        429,
        {},
        '{"error":{"code":"RATE_LIMITED","message":7,"retryable":"no","retryAfterMs":"1","details":3}}',
        { code: 'RATE_LIMITED', retryable: true, retryAfterMs: undefined, details: undefined },
      ],
      [
        'a delay of years',
        429,
        {},
        '{"error":{"code":"RATE_LIMITED","retryAfterMs":1e15}}',
        { retryAfterMs: 2147483647 },
      ],
    ])('says so: %s', async (_, status, headers, body, expected) => {
      const { url } = await answering((response) => response.writeHead(status, headers).end(body));
      expect(await failure(broadcast({ url }))).toMatchObject(expected);
    });

    test('has the delay of its body, or else of its header', async () => {
      const error = { code: 'RATE_LIMITED', message: 'unable to serve the request; later', retryable: true };
      const { url } = await answering((response, { headers }) => {
        const inBody = headers.authorization === 'Bearer 1' ? { retryAfterMs: 1_500 } : {};
        response.writeHead(429, { 'retry-after': '2' }).end(JSON.stringify({ error: { ...error, ...inBody } }));
      });
      expect(await failure(broadcast({ url, tokenProvider: () => '1' }))).toMatchObject({ retryAfterMs: 1_500 });
      expect(await failure(broadcast({ url, tokenProvider: () => '2' }))).toMatchObject({ retryAfterMs: 2_000 });
    });

    test('that points elsewhere is not followed: the token would go along', async () => {
      const elsewhere = await answering((response) => response.end());
      const { url } = await answering((response) => response.writeHead(307, { location: elsewhere.url }).end());
      expect((await failure(broadcast({ url }))).message).toContain('cannot be reached (a redirect');
      expect(elsewhere.asked).toEqual([]);
    });
  });

  describe('options of an HTTP broadcaster', () => {
    test.each(['localhost:3002', 'relay', '', 'ws://relay', 'http://user:hidden@relay', 'http://relay?a=hidden', null])(
      'a URL is refused at once, and by name, where it is none: %s',
      (url) => {
        const create = (): unknown => open({ url: url as string });
        expect(create).toThrow(TypeError);
        expect(create).toThrow(/^createHttpBroadcaster needs url, /);
        expect(create).not.toThrow(/hidden/);
      },
    );

    test.each([0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, 3e9, '5'])(
      'a time that is none is refused: %s',
      (ms) => {
        expect(() => open({ timeoutMs: ms as number })).toThrow(/^createHttpBroadcaster needs timeoutMs from 1 to /);
      },
    );
  });

  test('on an edge runtime it publishes, and brings neither Node, Socket.IO nor schemas', async () => {
    const { outputFiles, metafile } = await build({
      entryPoints: [fileURLToPath(new URL('../src/http.ts', import.meta.url))],
      bundle: true,
      write: false,
      metafile: true,
      format: 'iife',
      globalName: 'groupcast',
      platform: 'neutral',
      conditions: ['@groupcast/source'],
    });
    const modules = Object.keys(metafile.inputs);
    expect(modules.filter((path) => !/(?:^|\/)packages\/(?:broadcaster|shared)\/src\//.test(path))).toEqual([]);
    expect(modules.length).toBeGreaterThan(8);
    const edge = createContext({ ...EDGE });
    const { groupcast } = runInContext(`${outputFiles[0]?.text ?? ''}; ({ groupcast })`, edge) as {
      groupcast: { createHttpBroadcaster: typeof createHttpBroadcaster };
    };
    const groupId = newGroup();
    const { messages } = await listen('alice', groupId);
    const broadcaster = groupcast.createHttpBroadcaster({ url: internalUrl(), serviceSecret: SECRET });
    const input = { groupId, message: { content: 'from the edge' }, expectedUserIds: ['alice', 'bob'] };
    expect(await broadcaster.broadcastMessage({ ...input, withinMs: 5_000 })).toMatchObject({
      recipients: { connections: 1 },
      delivery: { proven: ['alice'], pending: [], absent: [{ userId: 'bob', why: 'offline' }] },
    });
    expect(messages).toMatchObject([{ content: 'from the edge' }]);
    expect(await failure(broadcaster.broadcastMessage({ groupId: '', message: {} }))).toMatchObject({
      code: 'INVALID_PAYLOAD',
    });
  });
}
