import { type Broadcaster, createBroadcaster } from '@groupcast/broadcaster';
import type { Answer } from '@groupcast/shared';
import { received, TEST_SECRETS, tokenFor } from '@groupcast/testing';
import { pino } from 'pino';
import { io, type ManagerOptions, type Socket, type SocketOptions } from 'socket.io-client';
import { type RelayConfig, readRelayConfig } from '../src/config.ts';
import { type Relay, startRelay } from '../src/relay.ts';

export interface RelayUnderTest extends Relay {
  url: string;
  internalUrl: string;
  /** Its log so far, parsed. */
  logged: { level: number; msg: string; code?: string }[];
  broadcaster: Broadcaster;
  /** Stops the relay while its clients stay. */
  stop(): Promise<void>;
  /** A connection with any `auth`; it is closed with the relay. */
  client(auth: object, options?: Partial<ManagerOptions & SocketOptions>): Socket;
  /** A user who is connected and has heard which groups it is in. */
  member(
    userId: string,
    groups?: readonly string[],
    options?: Partial<ManagerOptions & SocketOptions>,
  ): Promise<Socket>;
  /** Is called when the relay is closed. */
  cleanUp(work: () => void): void;
}

/** A real relay in this process, on free ports, with no API unless `env` names one; `overrides` are values that no variable may have. */
export async function startRelayUnderTest(
  env: Readonly<Record<string, string>> = {},
  overrides: Partial<RelayConfig> = {},
): Promise<RelayUnderTest> {
  const logged: RelayUnderTest['logged'] = [];
  const log = pino({ level: 'debug' }, { write: (line: string) => void logged.push(JSON.parse(line)) });
  const defaults = {
    RELAY_PORT: '0',
    RELAY_INTERNAL_PORT: '0',
    API_URL: '',
    SHUTDOWN_DRAIN_SECONDS: '0',
    // The project "stock" runs the tests of clients a second time, on the other path.
    FANOUT: process.env['FANOUT'] ?? 'gathered',
  };
  const relay = await startRelay({ ...readRelayConfig({ ...TEST_SECRETS, ...defaults, ...env }), ...overrides }, log);
  const url = `http://127.0.0.1:${relay.port}`;
  const cleanUps: (() => void)[] = [];
  const broadcaster = createBroadcaster({ url, serviceSecret: TEST_SECRETS.RELAY_SERVICE_SECRET, timeoutMs: 5_000 });

  function client(auth: object, options: Partial<ManagerOptions & SocketOptions> = {}): Socket {
    const socket = io(url, { forceNew: true, transports: ['websocket'], reconnection: false, auth, ...options });
    cleanUps.push(() => void socket.close());
    return socket;
  }

  return {
    ...relay,
    url,
    internalUrl: `http://127.0.0.1:${relay.internalPort}`,
    logged,
    broadcaster,
    stop: relay.close,
    client,
    cleanUp: (work) => void cleanUps.push(work),
    async member(userId, groups = [], options = {}) {
      const socket = client({ token: await tokenFor(userId, groups) }, options);
      await received(socket, 'joined-groups');
      return socket;
    },
    async close() {
      await broadcaster.close();
      for (const cleanUp of cleanUps) cleanUp();
      await relay.close();
    },
  };
}

/** The code a connection is refused with. */
export async function refusal(socket: Socket): Promise<string> {
  const error = await received<Error & { data?: { code?: string } }>(socket, 'connect_error');
  return error.data?.code ?? error.message;
}

/** The answer to an event, or the code it was refused with. */
export async function ask<T = Record<string, unknown>>(
  socket: Socket,
  event: string,
  payload?: unknown,
): Promise<T | string> {
  const answer = (await socket.timeout(8_000).emitWithAck(event, payload)) as Answer<T & object>;
  return answer.ok ? answer : answer.error.code;
}
