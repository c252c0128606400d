import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createBroadcaster } from '@groupcast/broadcaster';
import {
  freePort,
  type ManagedProcess,
  received,
  type System,
  startRelayProcess,
  startSystem,
  TEST_SECRETS,
  tokenFor,
  until,
} from '@groupcast/testing';
import { signServiceToken } from '@groupcast/tokens';
import { io, type Socket } from 'socket.io-client';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';

/** A span as an OTLP collector gets it, with the service that it is of. */
interface Span {
  service: string;
  name: string;
  traceId: string;
  spanId: string;
  parentSpanId: string;
}

interface Exported {
  resourceSpans: {
    resource: { attributes: { key: string; value: { stringValue?: string } }[] };
    scopeSpans: { spans: Omit<Span, 'service'>[] }[];
  }[];
}

/** The part of an OTLP collector that takes spans as JSON. */
async function startCollector(): Promise<{ url: string; spans: Span[]; server: Server }> {
  const spans: Span[] = [];
  const server = createServer((request, response) => {
    let text = '';
    request.setEncoding('utf8').on('data', (piece: string) => (text += piece));
    request.on('end', () => {
      for (const { resource, scopeSpans } of (JSON.parse(text) as Exported).resourceSpans) {
        const service = resource.attributes.find(({ key }) => key === 'service.name')?.value.stringValue ?? '';
        for (const each of scopeSpans.flatMap((scope) => scope.spans)) spans.push({ service, ...each });
      }
      response.setHeader('content-type', 'application/json').end('{}');
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, spans, server };
}

const traceOf = (digit: string) => digit.repeat(32);
const parentOf = (trace: string, flags = '01') => `00-${trace}-${'b'.repeat(16)}-${flags}`;

interface Told {
  content?: string;
  traceparent?: string;
}

function find(list: readonly Told[], content: string): Told | undefined {
  return list.find((each) => each.content === content);
}

describe('a system whose spans go to a collector', () => {
  let collector: Awaited<ReturnType<typeof startCollector>>;
  let system: System;
  let socket: Socket;
  let raw: WebSocket;
  let groupId: string;
  const told: { socket: Told[]; raw: Told[] } = { socket: [], raw: [] };

  beforeAll(async () => {
    collector = await startCollector();
    system = await startSystem({
      OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
      OTEL_BSP_SCHEDULE_DELAY: '50',
      RELAY_WS_PATH: '/ws',
    });
    const created = await call('POST', '/api/messaging/groups', { memberIds: ['bob'] });
    groupId = ((await created.json()) as { group: { id: string } }).group.id;
    const token = await tokenFor('bob', []);
    socket = io(system.relayUrl, { transports: ['websocket'], auth: { token } });
    socket.on('new-message', (message: Told) => told.socket.push(message));
    raw = new WebSocket(`${system.relayUrl.replace('http', 'ws')}/ws`);
    raw.on('message', (data: Buffer) => {
      const frame = JSON.parse(data.toString()) as { type: string } & Told;
      if (frame.type === 'new-message') told.raw.push(frame);
    });
    raw.on('open', () => raw.send(JSON.stringify({ type: 'auth', token })));
    const inGroup = new Promise<void>((resolve) => {
      raw.on('message', (data: Buffer) => {
        if ((JSON.parse(data.toString()) as { type: string }).type === 'joined-groups') resolve();
      });
    });
    await Promise.all([received(socket, 'joined-groups'), inGroup]);
  });
  afterAll(async () => {
    socket?.close();
    raw?.terminate();
    await system?.stop();
    collector?.server.close();
  });

  async function call(method: string, path: string, body: object, headers: Record<string, string> = {}) {
    const authorization = `Bearer ${await tokenFor('alice', [])}`;
    return fetch(`${system.apiUrl}${path}`, {
      method,
      headers: { authorization, 'content-type': 'application/json', ...headers },
      body: JSON.stringify(body),
    });
  }
  async function post(content: string, traceparent?: string): Promise<void> {
    const headers = traceparent === undefined ? undefined : { traceparent };
    const answer = await call('POST', `/api/messaging/groups/${groupId}/messages`, { content }, headers);
    expect(answer.status).toBe(201);
  }
  /** Both members' events of the message with this content. */
  async function toldOf(content: string): Promise<Told[]> {
    return until(content, () => {
      const both = [find(told.socket, content), find(told.raw, content)].filter((each) => each !== undefined);
      return both.length === 2 ? both : undefined;
    });
  }
  const spansOf = (trace: string) => collector.spans.filter(({ traceId }) => traceId === trace);
  async function chainOf(trace: string, names: readonly string[]): Promise<Span[]> {
    await until('all spans', () => names.every((name) => spansOf(trace).some((span) => span.name === name)));
    return names.map((name) => spansOf(trace).find((span) => span.name === name) as Span);
  }

  test('shows a request as one trace, from the API to the event that members get, also by the raw door', async () => {
    const trace = traceOf('1');
    await post('traced', parentOf(trace));
    const both = await toldOf('traced');
    const names = ['groupcast.save', 'groupcast.dispatch', 'groupcast.accept', 'groupcast.fan-out'];
    const chain = await chainOf(trace, names);
    expect(chain.map(({ service }) => service)).toEqual([
      'groupcast-api',
      'groupcast-api',
      'groupcast-socket-relay',
      'groupcast-socket-relay',
    ]);
    const ids = chain.map(({ spanId }) => spanId);
    expect(chain.map(({ parentSpanId }) => parentSpanId)).toEqual(['b'.repeat(16), ...ids.slice(0, 3)]);
    const accepted = `00-${trace}-${ids[2]}-01`;
    expect(both.map(({ traceparent }) => traceparent)).toEqual([accepted, accepted]);
    expect(spansOf(trace)).toHaveLength(names.length);
  });

  test.each([
    ['that is malformed', `00-${traceOf('3')}-x-01`, '3'],
    ['that is not sampled', parentOf(traceOf('4'), '00'), '4'],
  ])('ignores a traceparent %s', async (_what, traceparent, digit) => {
    await post(`ignored ${digit}`, traceparent);
    const message = await until('the message', () => find(told.socket, `ignored ${digit}`));
    expect(message).not.toHaveProperty('traceparent');
    // A later message has been exported, so the earlier one would have been.
    const after = traceOf(`${Number(digit) + 4}`);
    await post('after it', parentOf(after));
    await chainOf(after, ['groupcast.fan-out']);
    expect(spansOf(traceOf(digit))).toEqual([]);
  });

  test('takes the traceparent of a command over HTTP from its header', async () => {
    const secret = TEST_SECRETS.RELAY_SERVICE_SECRET;
    const authorization = `Bearer ${await signServiceToken({ secret, subject: 'b', scopes: ['broadcast'] })}`;
    const send = async (path: string, body: object, trace: string) => {
      const headers = { authorization, 'content-type': 'application/json', traceparent: parentOf(trace) };
      const options = { method: 'POST', headers, body: JSON.stringify(body) };
      expect((await fetch(`${system.relayInternalUrl}/v1/${path}`, options)).status).toBe(200);
    };
    const own = parentOf(traceOf('c'));
    const item = { groupId, event: 'new-message' };
    await send('broadcast', { ...item, message: { content: 'over HTTP' } }, traceOf('9'));
    const items = [
      { ...item, message: { content: 'first' } },
      { ...item, message: { content: 'own' }, traceparent: own },
    ];
    await send('batch', { items }, traceOf('a'));
    await send('notify', { userIds: ['bob'], event: 'hello', data: {} }, traceOf('d'));
    for (const digit of ['9', 'a', 'c', 'd']) {
      const [accept] = await chainOf(traceOf(digit), ['groupcast.accept']);
      expect(accept?.parentSpanId).toBe('b'.repeat(16));
    }
    const message = await until('it', () => find(told.socket, 'own'));
    expect(message.traceparent).toMatch(/^00-c{32}-(?!b{16})/);
  });

  test('keeps the trace of a message that waits for the relay', async () => {
    const trace = traceOf('2');
    await system.relay.stop();
    await post('waited', parentOf(trace));
    system.relay = await startRelayProcess(system.env);
    await chainOf(trace, ['groupcast.save', 'groupcast.dispatch', 'groupcast.accept']);
  });
});

describe('a relay', () => {
  const folder = mkdtempSync(join(tmpdir(), 'groupcast-tracing-'));
  const running: { stop(): Promise<void> }[] = [];
  afterEach(async () => {
    for (const each of running.splice(0).toReversed()) await each.stop();
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  /** Writes down which files of the bundle the process loads. Returns whether the SDK of OpenTelemetry is one of them. */
  function spy(name: string): { preload: string; hasLoadedSdk: () => boolean } {
    const [preload, list] = [join(folder, `${name}.mjs`), join(folder, `${name}.txt`)];
    writeFileSync(
      preload,
      `import { register } from 'node:module';
       const source = \`import { appendFileSync } from 'node:fs';
         export async function load(url, context, next) {
           appendFileSync(${JSON.stringify(list)}, url + ' ');
           return next(url, context);
         }\`;
       register('data:text/javascript,' + encodeURIComponent(source));`,
    );
    return {
      preload,
      hasLoadedSdk() {
        const files = readFileSync(list, 'utf8');
        expect(files).toContain('/services/socket-relay/dist/main.js');
        return files.includes('/tracing-sdk-');
      },
    };
  }
  async function startSpied(name: string, env: Readonly<Record<string, string>>) {
    const { preload, hasLoadedSdk } = spy(name);
    const relay = await startRelayProcess({ NODE_OPTIONS: `--import ${preload}`, SHUTDOWN_DRAIN_SECONDS: '0', ...env });
    running.push(relay);
    return { relay, hasLoadedSdk };
  }
  async function stopped(relay: ManagedProcess): Promise<void> {
    relay.signal('SIGTERM');
    expect(await relay.exited()).toBe(0);
  }

  test('without an exporter loads no SDK, and hands on the traceparent that a publisher gives', async () => {
    const { relay, hasLoadedSdk } = await startSpied('off', {});
    const socket = io(relay.url, { transports: ['websocket'], auth: { token: await tokenFor('bob', ['g']) } });
    const broadcaster = createBroadcaster({ url: relay.url, serviceSecret: TEST_SECRETS.RELAY_SERVICE_SECRET });
    running.push({ stop: async () => void socket.close() }, { stop: async () => broadcaster.close() });
    const messages: Told[] = [];
    socket.on('new-message', (message: Told) => messages.push(message));
    const traceparent = parentOf(traceOf('1'));
    await until('the member', async () => {
      await broadcaster.broadcastMessage({ groupId: 'g', message: { content: 'given' }, traceparent });
      return messages.length > 0;
    });
    await broadcaster.broadcastMessage({ groupId: 'g', message: { content: 'malformed' }, traceparent: 'x' });
    const malformed = await until('the other', () => find(messages, 'malformed'));
    expect([messages[0]?.traceparent, malformed.traceparent]).toEqual([traceparent, undefined]);
    await stopped(relay);
    expect(hasLoadedSdk()).toBe(false);
  });

  test('with an exporter loads it, and stops in order although nobody takes the spans', async () => {
    const { relay, hasLoadedSdk } = await startSpied('on', {
      OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${await freePort()}`,
    });
    await stopped(relay);
    expect(hasLoadedSdk()).toBe(true);
  });
});
