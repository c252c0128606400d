import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Readable } from 'node:stream';
import { pino } from 'pino';
import { afterEach, describe, expect, test } from 'vitest';
import { createRelayMetrics } from '../src/metrics/relay-metrics.ts';
import { type ApiClient, createApiClient } from '../src/upstream/api-client.ts';

const SECRET = 'service-tokens-of-these-tests-0123456789';
let servers: Server[] = [];
afterEach(async () => {
  for (const client of clients.splice(0)) client.stop();
  for (const server of servers) {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
  servers = [];
});

/** Where an API listens that answers as `listener` does. */
async function listen(listener: RequestListener): Promise<string> {
  const server = createServer((request, response) => {
    response.on('error', () => undefined);
    listener(request, response);
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const clients: ApiClient[] = [];
function open(apiUrl: string): ApiClient {
  const log = pino({ level: 'silent' });
  const client = createApiClient(
    { metrics: createRelayMetrics(), monitor: { publish: () => undefined }, log },
    { apiUrl, secret: SECRET, fillEvents: 10, maxPayloadBytes: 1_024 },
  );
  clients.push(client);
  return client;
}

async function refusalOf(apiUrl: string): Promise<{ code: string; message: string; retryable: boolean }> {
  const api = open(apiUrl);
  return api.memberOf('alice', ['1']).then(
    () => {
      throw new Error('it was answered');
    },
    (error: unknown) => error as { code: string; message: string; retryable: boolean },
  );
}

function* endless(count: (bytes: number) => void): Generator<Buffer> {
  const chunk = Buffer.alloc(1_048_576, ' ');
  for (;;) {
    count(chunk.byteLength);
    yield chunk;
  }
}

test('a call that the back end does not offer is said once, and is no fault of the back end', async () => {
  const lines: { level: number; msg: string }[] = [];
  const log = pino({}, { write: (line: string) => void lines.push(JSON.parse(line) as (typeof lines)[number]) });
  const apiUrl = await listen((_request, response) => void response.writeHead(404).end());
  const client = createApiClient(
    { metrics: createRelayMetrics(), monitor: { publish: () => undefined }, log },
    { apiUrl, secret: SECRET, fillEvents: 10, maxPayloadBytes: 1_024 },
  );
  clients.push(client);
  for (let n = 0; n < 8; n += 1) {
    await expect(client.storeSeen({ userIds: ['alice'] })).rejects.toMatchObject({ code: 'API_UNAVAILABLE' });
  }
  expect(client.isFailing()).toBe(false);
  expect(lines.map(({ level, msg }) => [level, msg])).toEqual([[30, 'the back end does not offer /internal/presence']]);
});

describe('the groups of a user', () => {
  /** A back end that has these answers, by path, and 404 for everything else. */
  async function backEnd(answers: Readonly<Record<string, (asked: { userIds: string[] }) => unknown>>) {
    const asked: [string, unknown][] = [];
    const url = await listen((request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        const body = JSON.parse(Buffer.concat(chunks).toString()) as { userIds: string[] };
        asked.push([request.url ?? '', body]);
        const answer = answers[request.url ?? ''];
        if (answer) response.end(JSON.stringify(answer(body)));
        else response.writeHead(404).end();
      });
    });
    return { api: open(url), asked };
  }
  const groupsOf = (named: readonly unknown[]) => ({
    '/internal/groups': ({ userIds }: { userIds: string[] }) => ({
      users: userIds.map((userId) => ({ userId, groupIds: userId === 'alice' ? named : [] })),
    }),
  });

  test('are asked together, in the order of the answer, and what is no id is left out', async () => {
    const { api, asked } = await backEnd(groupsOf([7, '8', 'no id', null, '8']));
    const answers = await Promise.all(['alice', 'bob', 'alice'].map(async (userId) => api.groupsOf(userId)));
    expect(answers).toEqual([['7', '8'], [], ['7', '8']]);
    expect(asked).toEqual([['/internal/groups', { userIds: ['alice', 'bob', 'alice'] }]]);
  });

  test('are undefined where the back end does not say them, and so is who is a member, which is no fault', async () => {
    const { api } = await backEnd({});
    expect([await api.groupsOf('alice'), await api.memberOf('alice', ['7'])]).toEqual([undefined, undefined]);
    expect(api.isFailing()).toBe(false);
  });

  test('say who is a member where that cannot be asked by itself', async () => {
    const { api } = await backEnd(groupsOf(['7', '9']));
    expect(await api.memberOf('alice', ['7', '8'])).toEqual(new Set(['7']));
  });

  test.each([
    ['of others', { users: [] }],
    ['that are no list', { users: [{ userId: 'alice', groupIds: 'all' }] }],
    ['that are too many', { users: [{ userId: 'alice', groupIds: Array.from({ length: 10_001 }, String) }] }],
  ])('%s are API_UNAVAILABLE', async (_what, answer) => {
    const { api } = await backEnd({ '/internal/groups': () => answer });
    await expect(api.groupsOf('alice')).rejects.toMatchObject({ code: 'API_UNAVAILABLE', retryable: true });
  });
});

test('the API’s reason for a refusal goes to the log, and not to users', async () => {
  const reason = 'unable to accept the service token; its iat lies 60 s in the future: compare the clocks';
  const url = await listen((_request, response) => {
    response.writeHead(401).end(JSON.stringify({ error: { code: 'SERVICE_TOKEN_INVALID', message: reason } }));
  });
  const error = (await refusalOf(url)) as unknown as { message: string; cause: { cause: Error } };
  expect([error.message, error.cause.cause.message]).toEqual(['unable to ask the API; it answered 401', reason]);
});

test.each(['', '/chat', '/a/b.c'])('the API may be behind a path of a larger site: "%s"', async (prefix) => {
  const asked: string[] = [];
  const url = await listen((request, response) => {
    asked.push(request.url ?? '');
    response.end('{"users":[{"userId":"alice","groupIds":["1"]}]}');
  });
  const api = open(`${url}${prefix}`);
  expect(await api.memberOf('alice', ['1'])).toEqual(new Set(['1']));
  expect(asked).toEqual([`${prefix}/internal/memberships`]);
});

describe('an API that does not answer as it should is API_UNAVAILABLE, and worth another try:', () => {
  test('it never stops', async () => {
    let sent = 0;
    const url = await listen((_request, response) => {
      Readable.from(endless((bytes) => (sent += bytes))).pipe(response);
    });
    const message = 'unable to ask the API; the answer is larger than 67108864 bytes';
    expect(await refusalOf(url)).toMatchObject({ code: 'API_UNAVAILABLE', retryable: true, message });
    expect(sent).toBeLessThan(128 * 1_048_576);
  });

  test('it begins, and goes on for longer than a question may take', async () => {
    const url = await listen((_request, response) => {
      response.write('{');
      const timer = setInterval(() => response.write(' '), 50);
      response.on('close', () => clearInterval(timer));
    });
    expect(await refusalOf(url)).toMatchObject({
      code: 'API_UNAVAILABLE',
      message: 'unable to ask the API; no answer in 3000 ms',
    });
  });

  // 301 to 303 repeat a POST as a GET, 307 and 308 with its body.
  test.each([301, 302, 303, 307, 308])(
    'it sends the relay, with its service token, to somebody else: %i (G36)',
    async (status) => {
      let asked = 0;
      const elsewhere = await listen((_request, response) => {
        asked += 1;
        response.end('{"users":[{"userId":"alice","groupIds":["1"]}]}');
      });
      const url = await listen((_request, response) => response.writeHead(status, { location: `${elsewhere}/` }).end());
      expect(await refusalOf(url)).toMatchObject({
        code: 'API_UNAVAILABLE',
        retryable: true,
        message: `unable to ask the API; it answered ${status}`,
      });
      expect(asked).toBe(0);
    },
  );

  test.each([
    ['nobody is there', 'http://user:hidden-password@127.0.0.1:9'],
    ['no request can be made', 'http://user:hidden-password@[::1]:1'],
  ])('%s, and no user hears what API_URL is', async (_, url) => {
    const { code, message } = await refusalOf(url);
    expect({ code, message }).toEqual({
      code: 'API_UNAVAILABLE',
      message: 'unable to ask the API; it cannot be reached',
    });
  });
});
