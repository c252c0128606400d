import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { pino } from 'pino';
import { Server } from 'socket.io';
import { afterEach, expect, test } from 'vitest';
import { createConnectionIntake } from '../src/connections/intake.ts';
import { openRawDoor } from '../src/connections/raw-door.ts';
import type { RawVoice } from '../src/engine/raw-frames.ts';
import { attachWebSocketTransport } from '../src/engine/web-socket-transport.ts';
import { createRelayMetrics } from '../src/metrics/relay-metrics.ts';
import type { RelayServer, Session } from '../src/sessions/session.ts';
import { createUserBudgets } from '../src/sessions/user-budgets.ts';
import { openRawClient } from './raw-client.ts';

const closing: (() => Promise<unknown> | void)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).toReversed()) await close();
});

/** The names of an application that says everything in its own words. */
const VOICE: RawVoice = {
  incoming(type, fields) {
    if (type === 'hello' && fields['secret'] !== undefined) return { type: 'auth', fields };
    return { type: type === 'are-you-there' ? 'ping' : type, fields };
  },
  outgoing(name, payload) {
    if (name === 'auth-success')
      return [
        ['welcome', payload],
        ['ready', undefined],
      ];
    if (name === 'auth-error') return [['no', { text: payload['code'] }]];
    if (name === 'pong') return [];
    return [[`their-${name}`, payload]];
  },
};

/** A server of Socket.IO with a raw door, which lets in everybody whose secret is right. */
async function startDoor(): Promise<string> {
  const http = createServer();
  const budgets = createUserBudgets(50);
  const notices = (): void => undefined;
  const intake = createConnectionIntake(
    { budgets, metrics: createRelayMetrics(), notices, log: pino({ level: 'silent' }) },
    { maxGroups: 10, eventsPerSecond: 50 },
  );
  const io: RelayServer = new Server(http, { parser: intake.parser });
  attachWebSocketTransport(io.engine);
  intake.attach(io);
  const options = {
    path: '/ws',
    tokenPlaces: [{ kind: 'auth' as const }],
    origins: '*' as const,
    authBy: 'token' as const,
  };
  openRawDoor({ io, http, voiceOf: ({ headers }) => (headers['x-voice'] === undefined ? plain : VOICE) }, options);
  io.use((socket, next) => {
    socket.data.session = { kind: 'user', userId: 'alice' } as Session;
    const isRight = socket.handshake.auth['secret'] === 'right';
    next(
      isRight
        ? undefined
        : Object.assign(new Error('no'), { data: { code: 'FORBIDDEN', message: 'no', retryable: false } }),
    );
  });
  io.on('connection', (socket) => {
    intake.admit(socket);
    socket.onAny((name: string, payload: unknown, acknowledge?: (answer: object) => void) => {
      acknowledge?.({ ok: true, id: 'of the answer', name, payload });
    });
  });
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
  closing.push(async () => {
    intake.stop();
    budgets.stop();
    await io.close();
  });
  return `http://127.0.0.1:${(http.address() as AddressInfo).port}/ws`;
}

const plain: RawVoice = {
  incoming: (type, fields) => ({ type, fields }),
  outgoing: (name, payload) => [[name, payload]],
};

test('each connection has its own names for the door’s frames, as many frames as it likes', async () => {
  const url = await startDoor();
  const theirs = await openRawClient(url, { headers: { 'x-voice': 'theirs' } });
  const ours = await openRawClient(url);
  closing.push(theirs.close, ours.close);
  theirs.send({ type: 'hello', secret: 'right' });
  theirs.send({ type: 'are-you-there', id: 9 });
  theirs.send({ type: 'send', id: 4, text: 'x' });
  const answer = { ok: true, id: 'of the answer', name: 'send', payload: { text: 'x' } };
  // An answer with an id of its own is beside that of the frame.
  expect(await theirs.frame('their-ack')).toEqual({ type: 'their-ack', id: 4, ok: true, payload: answer });
  const [welcome, ...others] = theirs.frames;
  expect(welcome).toEqual({ type: 'welcome', socketId: expect.any(String) });
  expect(others.map(({ type }) => type)).toEqual(['ready', 'their-ack']);
  ours.send({ type: 'auth', secret: 'wrong' });
  expect(await ours.frame('auth-error')).toEqual({
    type: 'auth-error',
    code: 'FORBIDDEN',
    message: 'no',
    retryable: false,
  });
  const refused = await openRawClient(url, { headers: { 'x-voice': 'theirs' } });
  closing.push(refused.close);
  refused.send({ type: 'hello', secret: 'wrong' });
  expect(await refused.frame('no')).toEqual({ type: 'no', text: 'FORBIDDEN' });
  expect((await refused.closed()).code).toBe(1008);
});
