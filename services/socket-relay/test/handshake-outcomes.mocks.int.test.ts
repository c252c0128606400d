import { ERROR_CODES, type ErrorCode, GroupcastError } from '@groupcast/shared';
import { received, tokenFor, until } from '@groupcast/testing';
import type { Socket } from 'socket.io-client';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import type { Authenticator } from '../src/connections/authenticate.ts';
import { type RelayUnderTest, startRelayUnderTest } from './relay-harness.ts';

/** The result of the next handshakes, whatever the client brought. */
const { plan } = vi.hoisted(() => ({ plan: { error: undefined as GroupcastError | undefined, times: 0, seen: 0 } }));

vi.mock(import('../src/connections/authenticate.ts'), async (importOriginal) => {
  const original = await importOriginal();
  return {
    ...original,
    createAuthenticator(options): Authenticator {
      const authenticator = original.createAuthenticator(options);
      return {
        ...authenticator,
        async handshake(socket) {
          plan.seen += 1;
          if (plan.error && plan.seen <= plan.times) throw plan.error;
          return authenticator.handshake(socket);
        },
      };
    },
  };
});

type Row = [code: ErrorCode, transport: 'websocket' | 'polling'];
const rowsOf = (retryable: boolean): Row[] =>
  (Object.keys(ERROR_CODES) as ErrorCode[])
    .filter((code) => ERROR_CODES[code].retryable === retryable)
    .flatMap((code): Row[] => [
      [code, 'websocket'],
      [code, 'polling'],
    ]);

describe('a stock client whose handshake ends with', () => {
  let relay: RelayUnderTest;
  beforeAll(async () => {
    relay = await startRelayUnderTest();
    // Its handshake is none of those that are counted.
    await until('the back end', () => relay.broadcaster.connected);
    plan.seen = 0;
  });
  afterAll(async () => {
    await relay.close();
  });
  afterEach(() => {
    Object.assign(plan, { error: undefined, times: 0, seen: 0 });
  });

  async function connect(transport: Row[1]): Promise<{ socket: Socket; errors: unknown[]; endings: unknown[] }> {
    const options = { transports: [transport], reconnection: true, reconnectionDelay: 10, reconnectionDelayMax: 50 };
    const socket = relay.client({ token: await tokenFor('alice', ['1']) }, options);
    const errors: unknown[] = [];
    const endings: unknown[] = [];
    socket.on('connect_error', (error: Error & { data?: { code: string } }) => errors.push(error.data?.code));
    socket.on('disconnect', (_reason, details) => {
      const { code, reason } = (details as { context?: { code?: number; reason?: string } } | undefined)?.context ?? {};
      endings.push({ code, reason });
    });
    return { socket, errors, endings };
  }

  test.each(rowsOf(true))('%s, which passes, comes back by itself over %s (G50)', async (code, transport) => {
    Object.assign(plan, { error: new GroupcastError(code, `unable to connect; ${code}`), times: 2 });
    const { socket, errors, endings } = await connect(transport);
    await received(socket, 'joined-groups');
    expect([plan.seen, errors]).toEqual([3, []]);
    expect(relay.logged).toContainEqual(expect.objectContaining({ code }));
    // A WebSocket is closed with the reason; a polling session has no place for one.
    const reason = { code: 1013, reason: `${code}: unable to connect; ${code}` };
    if (transport === 'websocket') expect(endings).toEqual([reason, reason]);
    socket.close();
  });

  test.each(rowsOf(false))('%s, which stays, is told so over %s, and stays away (G50)', async (code, transport) => {
    Object.assign(plan, { error: new GroupcastError(code, `unable to connect; ${code}`), times: 2 });
    const { socket, errors } = await connect(transport);
    await until('the refusal', () => errors.length > 0);
    expect([errors, socket.active, plan.seen]).toEqual([[code], false, 1]);
    socket.close();
  });

  test('a failure that nobody has foreseen comes back by itself, and hears nothing of its text', async () => {
    Object.assign(plan, { error: new Error('secret') as GroupcastError, times: 1 });
    const { socket, errors, endings } = await connect('websocket');
    await received(socket, 'joined-groups');
    expect(errors).toEqual([]);
    expect(endings).toEqual([{ code: 1013, reason: expect.not.stringContaining('secret') }]);
    socket.close();
  });

  test('a refusal with a time to wait is kept waiting, so that it does not come back at once', async () => {
    const error = new GroupcastError('BROKER_UNAVAILABLE', 'unable to connect; not now', { retryAfterMs: 400 });
    Object.assign(plan, { error, times: 1 });
    const before = performance.now();
    const { socket } = await connect('websocket');
    await received(socket, 'joined-groups');
    expect(performance.now() - before).toBeGreaterThanOrEqual(195);
    socket.close();
  });

  test('a second CONNECT while the first is kept waiting ends the connection', async () => {
    const error = new GroupcastError('BROKER_UNAVAILABLE', 'unable to connect; not now', { retryAfterMs: 60_000 });
    Object.assign(plan, { error, times: 1 });
    const { socket } = await connect('websocket');
    const closed = received(socket, 'disconnect');
    await until('the handshake', () => plan.seen === 1);
    socket.io.engine.write(`0${JSON.stringify({ token: await tokenFor('alice') })}`);
    await closed;
    await received(socket, 'joined-groups');
    expect(plan.seen).toBe(2);
    socket.close();
  });
});
