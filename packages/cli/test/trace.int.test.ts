import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { TraceRecipient } from '@groupcast/shared';
import { TEST_SECRETS } from '@groupcast/testing';
import { createServiceTokenVerifier } from '@groupcast/tokens';
import { afterEach, describe, expect, test } from 'vitest';
import { trace } from '../src/commands/trace.ts';
import type { Trace } from '../src/trace/format.ts';

let server: Server | undefined;
afterEach(async () => {
  server?.closeAllConnections();
  await new Promise((resolve) => (server ? server.close(resolve) : resolve(undefined)));
  server = undefined;
});

type Answer = { status?: number; body: unknown };

async function serve(answer: (url: URL) => Answer): Promise<{ url: string; asked: { url: URL; token: string }[] }> {
  const asked: { url: URL; token: string }[] = [];
  server = createServer((request: IncomingMessage, response) => {
    const url = new URL(request.url ?? '/', 'http://localhost');
    asked.push({ url, token: (request.headers.authorization ?? '').replace('Bearer ', '') });
    const { status = 200, body } = answer(url);
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
  });
  await new Promise<void>((resolve) => server?.listen(0, '127.0.0.1', resolve));
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, asked };
}

async function run(...args: string[]): Promise<{ code: number; out: string }> {
  let out = '';
  const sink = { write: (text: string) => void (out += text) };
  const stopped = new AbortController().signal;
  const code = await trace.run(args, { env: TEST_SECRETS, stdout: sink, stderr: sink, stopped });
  return { code, out };
}

const offline = (index: number): TraceRecipient => ({
  userId: `user-${index}`,
  state: 'offline',
  why: 'no relay knows of a connection of theirs',
});

const STOPPED: Trace = {
  verdict: {
    state: 'partly',
    hop: 'written',
    code: 'OFFLINE',
    cause: '2 of 3 do not have it',
    fix: 'they get it when they come back',
  },
  hops: [
    { hop: 'saved', ok: true, at: '2026-03-01T10:00:00.123Z', detail: 'saved at position 42' },
    { hop: 'relay-accepted', ok: true, at: '2026-03-01T10:00:00.130Z', ms: 7, node: 'relay-1', detail: 'accepted' },
    { hop: 'written', ok: false, count: 1, detail: 'to 1 of 3 recipients' },
  ],
  summary: { proven: 1, offline: 1, refused: 1 },
  recipients: [
    { userId: 'alice', state: 'proven', why: 'read' },
    { userId: 'bob', state: 'offline', why: 'no relay knows of a connection of theirs' },
    {
      userId: 'carol\u001b[2J',
      state: 'refused',
      why: 'the relay refused it',
      code: 'ORIGIN_FORBIDDEN',
      node: 'relay-2',
    },
  ],
  unreachable: ['relay-3'],
};

describe('groupcast trace', () => {
  test('prints a line for each hop and for each recipient without it, and one cause and one fix at the end', async () => {
    const { url, asked } = await serve(() => ({ body: STOPPED }));
    const { code, out } = await run('m-1', '--api', url);
    expect(code).toBe(3);
    expect(out).toBe(`message m-1

  ✓  saved           10:00:00.123Z         saved at position 42
  ✓  relay-accepted  10:00:00.130Z  +7 ms  accepted  (relay-1)
  ✗  written                               to 1 of 3 recipients

no answer from relay-3

  bob        offline  no relay knows of a connection of theirs
  carol\uFFFD[2J  refused  the relay refused it ORIGIN_FORBIDDEN (relay-2)

partly at written OFFLINE   proven 1, offline 1, refused 1
cause  2 of 3 do not have it
fix    they get it when they come back
`);
    expect(asked.map(({ url: { pathname, search } }) => pathname + search)).toEqual([
      '/api/messaging/messages/m-1/trace?limit=500',
    ]);
    const verifier = createServiceTokenVerifier({
      secret: TEST_SECRETS.RELAY_SERVICE_SECRET,
      audience: 'groupcast-api',
    });
    await expect(verifier.verify(asked[0]?.token, 'monitor')).resolves.toMatchObject({ subject: 'groupcast-trace' });
  });

  test('lists twenty recipients at most, from as many pages as it takes, and says how many more there are', async () => {
    const { url, asked } = await serve(({ searchParams }) => {
      const from = Number(searchParams.get('after') ?? '0');
      const recipients = Array.from({ length: 15 }, (_, index) => offline(from + index));
      return { body: { ...STOPPED, summary: { offline: 54 }, recipients, next: String(from + 15) } };
    });
    const { out } = await run('m-1', '--api', url);
    expect(out.match(/ {2}user-/g)).toHaveLength(20);
    expect(out).toContain('  and 34 more\n');
    expect(asked).toHaveLength(2);
  });

  test.each([
    ['delivered', 0],
    ['partly', 3],
    ['stopped', 4],
  ])('ends with a code of its own where it is %s', async (state, expected) => {
    const { url } = await serve(() => ({ body: { ...STOPPED, verdict: { ...STOPPED.verdict, state } } }));
    const { code, out } = await run('m-1', '--api', url, '--json', '--user', 'bob');
    expect(code).toBe(expected);
    expect(JSON.parse(out)).toMatchObject({ verdict: { state }, recipients: STOPPED.recipients });
    // A hop that not all have passed is no fault where all have it.
    expect((await run('m-1', '--api', url)).out).toMatch(
      state === 'delivered' ? / {2}– {2}written/ : / {2}✗ {2}written/,
    );
  });

  test('asks a relay for an event of a back end that is not ours', async () => {
    const { url, asked } = await serve(() => ({ body: { ok: true, ...STOPPED } }));
    expect((await run('--relay', url, '--group', 'team', '--seq', '42', '--user', 'bob')).code).toBe(3);
    expect((await run('--relay', url, '--group', 'team', '--id', 'e-1')).out).toContain('event e-1 of group team\n');
    expect(asked.map(({ url: { pathname, search } }) => pathname + search)).toEqual([
      '/v1/traces?groupId=team&seq=42&userIds=bob&limit=500',
      '/v1/traces?groupId=team&id=e-1&limit=500',
    ]);
    const verifier = createServiceTokenVerifier({
      secret: TEST_SECRETS.RELAY_SERVICE_SECRET,
      audience: 'groupcast-relay',
    });
    await expect(verifier.verify(asked[0]?.token, 'monitor')).resolves.toMatchObject({ kind: 'service' });
  });

  test.each([
    [[], 'give the id of a message, or --relay, --group and --id or --seq'],
    [['m-1', 'm-2'], 'give one message, not "m-2" as well'],
    [['m 1'], 'a message id has 1-128 characters'],
    [['m-1', '--seq', '4'], '--seq goes with --relay'],
    [['--relay', 'http://localhost:1'], '--relay needs --group ID, and --id ID or --seq N'],
    [['--relay', 'http://localhost:1', '--group', 'g', '--id', 'a', '--seq', '1'], '--relay needs --group ID'],
    [['m-1', '--relay', 'http://localhost:1', '--group', 'g', '--id', 'a'], 'with --relay an event is named by'],
  ])('refuses %j as wrong usage', async (args, message) => {
    await expect(run(...args)).rejects.toMatchObject({
      name: 'UsageError',
      message: expect.stringContaining(message),
    });
  });

  test.each([
    [404, { error: { code: 'NOT_FOUND', message: 'there is none' } }, 'answered NOT_FOUND: there is none'],
    [401, { error: { code: 'SERVICE_TOKEN_INVALID', message: 'no' } }, 'RELAY_SERVICE_SECRET of this environment'],
    [200, { hello: 'world' }, 'something else may answer there'],
    [503, { error: { code: 'API_UNAVAILABLE', message: 'no database' } }, 'answered API_UNAVAILABLE: no database'],
  ])('fails with the reason where it is answered with %i', async (status, body, message) => {
    const { url } = await serve(() => ({ status, body }));
    await expect(run('m-1', '--api', url)).rejects.toMatchObject({
      name: 'CommandFailure',
      message: expect.stringContaining(message),
    });
  });

  test('names the service that it cannot reach', async () => {
    await expect(run('m-1', '--api', 'http://127.0.0.1:9')).rejects.toThrow(
      /unable to reach the API at http:\/\/127\.0\.0\.1:9 \(\w+\); start it with npx groupcast api, or check API_URL/,
    );
  });
});
