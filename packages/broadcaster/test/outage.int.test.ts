import { freePort, startRelayProcess, startTcpProxy, TEST_SECRETS, until } from '@groupcast/testing';
import { signServiceToken } from '@groupcast/tokens';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { type Broadcaster, type BroadcasterOptions, type ConnectionState, createBroadcaster } from '../src/index.ts';
import { listenIn, startRelayHere } from './relay-under-test.ts';

/** The steps that undo a test, last first. */
const cleanUps: (() => unknown)[] = [];
afterEach(async () => {
  vi.useRealTimers();
  for (const cleanUp of cleanUps.splice(0).toReversed()) await cleanUp();
});

function open(url: string, options: Partial<BroadcasterOptions> = {}): Broadcaster {
  const serviceSecret = TEST_SECRETS.RELAY_SERVICE_SECRET;
  const broadcaster = createBroadcaster({ url, serviceSecret, timeoutMs: 20_000, ...options });
  cleanUps.push(async () => broadcaster.close());
  return broadcaster;
}

async function startRelayOn(port: number): Promise<void> {
  const relay = await startRelayHere({ RELAY_PORT: String(port) });
  cleanUps.push(async () => relay.close());
}

describe('calls', () => {
  test('made before the relay is up are sent when it comes up, in their order', async () => {
    const port = await freePort();
    const broadcaster = open(`http://127.0.0.1:${port}`);
    const calls = Array.from({ length: 20 }, async (_, index) =>
      broadcaster.broadcastMessage({ groupId: 1, message: { index } }),
    );
    expect(broadcaster.connected).toBe(false);
    await startRelayOn(port);
    const results = await Promise.all(calls);
    expect(results.map(({ position }) => position?.seq)).toEqual(calls.map((_, index) => index + 1));
  });

  test('whose answers were lost are sent again, are known as duplicates, and nobody sees them twice', async () => {
    const relay = await startRelayHere();
    cleanUps.push(async () => relay.close());
    const proxy = await startTcpProxy(relay.port);
    cleanUps.push(async () => proxy.close());
    const { socket, messages } = await listenIn(relay.url, 'alice', ['1']);
    cleanUps.push(() => socket.close());
    const states: string[] = [];
    const broadcaster = open(`http://127.0.0.1:${proxy.port}`, { onStateChange: ({ name }) => states.push(name) });
    await broadcaster.broadcastMessage({ groupId: 1, message: { text: 'before' } });

    proxy.swallowAnswers();
    const lost = ['a', 'b', 'c'].map(async (text) => broadcaster.broadcastMessage({ groupId: 1, message: { text } }));
    await until('the messages whose answers are lost', () => messages.length === 4);
    proxy.cut();
    const results = await Promise.all(lost);
    const last = await broadcaster.broadcastMessage({ groupId: 1, message: { text: 'after' } });

    expect(results.map(({ duplicate, position }) => [duplicate, position?.seq])).toEqual([
      [true, 2],
      [true, 3],
      [true, 4],
    ]);
    expect(last).toMatchObject({ duplicate: false, position: { seq: 5 } });
    await until('the last message', () => messages.some((message) => message['text'] === 'after'));
    expect(messages.map((message) => message['text'])).toEqual(['before', 'a', 'b', 'c', 'after']);
    expect(states).toEqual(['connecting', 'connected', 'disconnected', 'connected']);
  });

  test('that never reached a relay that was killed reach the one that takes its place, in their order', async () => {
    const first = await startRelayProcess();
    cleanUps.push(async () => first.stop());
    const broadcaster = open(first.url);
    await broadcaster.broadcastMessage({ groupId: 1, message: {} });
    first.signal('SIGSTOP');
    const calls = Array.from({ length: 10 }, async () => broadcaster.broadcastMessage({ groupId: 1, message: {} }));
    await first.stop();
    const second = await startRelayProcess({ RELAY_PORT: String(first.port) });
    cleanUps.push(async () => second.stop());
    const results = await Promise.all(calls);
    expect(results.map(({ duplicate, position }) => [duplicate, position?.seq])).toEqual(
      calls.map((_, index) => [false, index + 1]),
    );
  });

  test('keep their order when the connection turns out to be dead only when one is made', async () => {
    const first = await startRelayProcess();
    cleanUps.push(async () => first.stop());
    const broadcaster = open(first.url);
    await broadcaster.broadcastMessage({ groupId: 1, message: {} });
    first.signal('SIGSTOP');
    const before = broadcaster.broadcastMessage({ groupId: 1, id: 'before', message: {} });
    // The machine slept for a minute: Socket.IO sees a heartbeat that is overdue, and keeps the next packet back.
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 60_000 });
    const after = broadcaster.broadcastMessage({ groupId: 1, id: 'after', message: {} });
    vi.useRealTimers();
    await until('the connection to be given up', () => !broadcaster.connected);
    await first.stop();
    const second = await startRelayProcess({ RELAY_PORT: String(first.port) });
    cleanUps.push(async () => second.stop());
    expect([(await before).position?.seq, (await after).position?.seq]).toEqual([1, 2]);
  });

  test('fail when a relay that is connected does not answer in time, and say so', async () => {
    const relay = await startRelayProcess();
    cleanUps.push(async () => relay.stop());
    const broadcaster = open(relay.url, { timeoutMs: 2_000 });
    await broadcaster.broadcastMessage({ groupId: 1, message: {} });
    relay.signal('SIGSTOP');
    await expect(broadcaster.broadcastMessage({ groupId: 1, message: {} })).rejects.toMatchObject({
      code: 'RELAY_UNAVAILABLE',
      retryable: true,
      message: `unable to send api-broadcast-message; the relay at ${relay.url} did not answer within 2000 ms`,
    });
  });
});

test('a broadcaster comes back to a relay that was stopped and started again', async () => {
  const port = await freePort();
  const states: ConnectionState[] = [];
  const broadcaster = open(`http://127.0.0.1:${port}`, { onStateChange: (state) => states.push(state) });
  const relay = await startRelayHere({ RELAY_PORT: String(port) });
  const before = await broadcaster.broadcastMessage({ groupId: 1, message: {} });
  await relay.close();
  await until('the end of the connection', () => !broadcaster.connected);
  const waiting = broadcaster.broadcastMessage({ groupId: 1, message: {} });
  await startRelayOn(port);
  expect((await waiting).position?.seq).toBe(1);
  expect((await waiting).position?.epoch).not.toBe(before.position?.epoch);
  expect(states.map(({ name }) => name)).toContain('unreachable');
  const changes = states.map(({ name }) => name).filter((name) => name !== 'unreachable');
  expect(changes).toEqual(['connecting', 'connected', 'disconnected', 'connected']);
});

test('a refusal that is over is no longer given as the reason', async () => {
  const relay = await startRelayHere();
  cleanUps.push(async () => relay.close());
  let refused = false;
  const broadcaster = open(relay.url, {
    timeoutMs: 4_000,
    tokenProvider: async () => {
      const secret = refused ? TEST_SECRETS.RELAY_SERVICE_SECRET : 'a secret of somebody else, 0123456789abcdef';
      return signServiceToken({ secret, scopes: ['broadcast'], subject: 'x' });
    },
    onStateChange: ({ name }) => {
      refused ||= name === 'refused';
    },
  });
  await broadcaster.broadcastMessage({ groupId: 1, message: {} });
  expect(refused).toBe(true);
  await relay.close();
  await until('the end of the connection', () => !broadcaster.connected);
  await expect(broadcaster.broadcastMessage({ groupId: 1, message: {} })).rejects.toMatchObject({
    code: 'RELAY_UNAVAILABLE',
    message: `unable to send api-broadcast-message; the relay at ${relay.url} cannot be reached (ECONNREFUSED) within 4000 ms`,
  });
});
