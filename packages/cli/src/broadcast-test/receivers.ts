import { setMaxListeners } from 'node:events';
import {
  type ClientEvents,
  type GroupPosition,
  type RelayEvents,
  relayAddress,
  type SessionEnding,
} from '@groupcast/shared';
import { io, type Socket } from 'socket.io-client';
import { CommandFailure, type Variables } from '../command.ts';
import { fixFor, readCloseReason, readConnectError } from '../refusals.ts';
import type { Route } from './route.ts';

/** The fields of a `new-message` that the test reads. */
export interface ReceivedMessage {
  groupId: unknown;
  clientMessageId?: unknown;
  epoch: string | null;
  seq: number | null;
}

type UserSocket = Socket<RelayEvents, Pick<ClientEvents, 'refresh-token'>>;

/** Handshakes under way at once: enough to be quick, too few to look like an attack. */
const CONNECTING_AT_ONCE = 32;

export interface Receivers {
  /** Resolves when all are connected and in the group. Throws `CommandFailure` naming what is in the way. */
  connect(): Promise<void>;
  readonly connected: number;
  /** Connections lost so far. A receiver comes back, but what was sent meanwhile is lost to it. */
  readonly disconnects: number;
  /** Why the last one was lost: the relay's code where it said one. */
  readonly lastDisconnect: string | undefined;
  close(): void;
}

/** Real clients of the relay, one connection and one user each. `onMessage` runs in each client's own handler. */
export function createReceivers(options: {
  count: number;
  route: Route;
  transport: 'websocket' | 'polling';
  timeoutMs: number;
  env: Variables;
  onMessage: (receiver: number, message: ReceivedMessage) => void;
}): Receivers {
  const { count, route, transport, timeoutMs, env } = options;
  const sockets: UserSocket[] = [];
  const stop = new AbortController();
  // One listener per handshake under way.
  setMaxListeners(CONNECTING_AT_ONCE, stop.signal);
  let connected = 0;
  let disconnects = 0;
  let lastDisconnect: string | undefined;

  /** Opens the connection of one receiver; the caller decides when it is in. */
  async function open(index: number): Promise<{ socket: UserSocket; relayUrl: string }> {
    const { token, relayUrl } = await route.admit(index);
    let firstToken: string | undefined = token;
    let ending: SessionEnding | undefined;
    const freshToken = async (): Promise<string> => (await route.admit(index)).token;
    const { origin, path } = relayAddress(relayUrl);
    const socket: UserSocket = io(origin, {
      path,
      transports: [transport],
      forceNew: true,
      autoConnect: false,
      reconnectionDelay: 200,
      reconnectionDelayMax: 2_000,
      auth: (give) => {
        const next = firstToken === undefined ? freshToken() : Promise.resolve(firstToken);
        firstToken = undefined;
        // Without a token the relay refuses, and the receiver stays away: what it misses is reported as lost.
        next.then(
          (value) => give({ token: value }),
          () => give({}),
        );
      },
    });
    socket.on('new-message', (message: ReceivedMessage) => options.onMessage(index, message));
    socket.on('session-ending', (notice) => {
      ending = notice;
      if (notice.next !== 'refresh-token') return;
      freshToken().then(
        (value) => socket.emit('refresh-token', { token: value }),
        // The relay closes the connection at expiry, and the reconnect asks for a token again.
        () => undefined,
      );
    });
    socket.on('disconnect', (reason) => {
      if (stop.signal.aborted) return;
      disconnects += 1;
      lastDisconnect = ending?.code ?? reason;
    });
    return { socket, relayUrl };
  }

  async function connectOne(index: number): Promise<void> {
    const { socket, relayUrl } = await open(index);
    if (stop.signal.aborted) return;
    sockets.push(socket);
    await new Promise<void>((resolve, reject) => {
      let lastProblem = '';
      const settle = (failure?: CommandFailure): void => {
        clearTimeout(timer);
        stop.signal.removeEventListener('abort', abort);
        if (failure) reject(failure);
        else resolve();
      };
      const abort = (): void => settle(new CommandFailure('unable to connect the receivers; the test was stopped'));
      const timer = setTimeout(() => {
        const why = socket.connected
          ? `the relay did not put it into group ${route.groupId}`
          : lastProblem || 'no answer';
        settle(new CommandFailure(`unable to connect receiver ${index} to ${relayUrl} within ${timeoutMs} ms; ${why}`));
      }, timeoutMs);
      stop.signal.addEventListener('abort', abort);

      socket.on('joined-groups', ({ groups }: { groups: GroupPosition[] }) => {
        if (groups.some(({ groupId }) => groupId === route.groupId)) settle();
      });
      const refuse = (code: string, text: string): void => {
        const fix = fixFor(code, route.receiverSecret, env);
        const refused = `the relay at ${relayUrl} refused receiver ${index}: ${code}: ${text}`;
        settle(new CommandFailure(fix ? `${refused}. ${fix}` : refused));
      };
      socket.on('disconnect', (_reason, details) => {
        const told = readCloseReason(details);
        if (told) refuse(told.code, told.text);
      });
      socket.on('connect_error', (error) => {
        const { code, text } = readConnectError(error);
        lastProblem = text;
        if (code !== undefined) refuse(code, text);
        else if (connected === 0) {
          // Nobody has come through yet: the relay is not there. Later, a single failure is tried again.
          const fix =
            'start it with npx groupcast relay, or check RELAY_URL, RELAY_PORT, RELAY_PUBLIC_URL or --relay-url';
          settle(new CommandFailure(`unable to reach the relay at ${relayUrl} (${text}); ${fix}`));
        }
      });
      socket.connect();
    });
    connected += 1;
  }

  return {
    get connected() {
      return connected;
    },
    get disconnects() {
      return disconnects;
    },
    get lastDisconnect() {
      return lastDisconnect;
    },
    async connect() {
      await connectOne(0);
      let next = 1;
      const worker = async (): Promise<void> => {
        while (next < count && !stop.signal.aborted) {
          next += 1;
          await connectOne(next - 1);
        }
      };
      await Promise.all(Array.from({ length: CONNECTING_AT_ONCE }, worker));
    },
    close() {
      stop.abort();
      for (const socket of sockets) socket.close();
    },
  };
}
