import type { Answer, SessionEnding } from '@groupcast/shared';
import { type ErrorBody, GroupcastError, relayAddress } from '@groupcast/shared/publisher';
import { io } from 'socket.io-client';
import type { RelayCall, Transport } from './publisher.ts';
import { fromBody, isClosed, isNoJson, refusedBackEnd, tooManyWaiting, wasClosed } from './relay-error.ts';

/**
 * `connecting`: there is no connection yet. `connected`: calls are sent at once. `disconnected`: the connection was lost and is tried again;
 * calls wait. `unreachable`: an attempt to connect failed, with an error that names the URL and the cause; the next one follows. `refused`:
 * the relay refused the connection, because of a wrong token for example; calls fail, and it is tried again. `closed`: it has ended for good.
 */
export type ConnectionState =
  | { name: 'connecting' | 'connected' | 'disconnected' | 'closed' }
  | { name: 'refused'; error: GroupcastError }
  | { name: 'unreachable'; error: Error };

export interface RelayConnection extends Transport {
  readonly connected: boolean;
}

interface PendingCall {
  event: RelayCall;
  payload: unknown;
  settle: (answer: unknown) => void;
  fail: (error: GroupcastError) => void;
}

const RECONNECT_MIN_MS = 100;
/** Longest wait for the relay's first packet, in milliseconds: it may die after accepting a connection, and Socket.IO would wait 20 s. */
const CONNECT_TIMEOUT_MS = 3_000;
const RECONNECT_MAX_MS = 2_000;
/** WebSocket's close code for a message that is larger than the other side takes. */
const MESSAGE_TOO_BIG = 1009;

/** The WebSocket close code behind a disconnect. */
function closeCodeOf(details: unknown): unknown {
  const context = (details as { context?: { code?: unknown } } | undefined)?.context;
  return context?.code;
}

/** A token that is read from a file may end with a newline. */
const trimmed = (token: unknown): unknown => (typeof token === 'string' ? token.trim() : token);

type ConnectError = Error & { data?: Partial<ErrorBody>; description?: { error?: NodeJS.ErrnoException } };

/** Error of the WebSocket at a port that has no Socket.IO, such as a relay's internal one. */
const NO_SOCKET_IO = 'Unexpected server response: 404';
const WANTED_PORT =
  'no relay is at this port and path: createBroadcaster wants the public port, by default 3001; createHttpBroadcaster takes the internal one, by default 3002';

/** The reason why no relay could be reached: the system's code, or what answered instead. Socket.IO's own text is "websocket error". */
function causeOf({ message, description }: ConnectError): string {
  if (message === 'timeout') return `no answer in ${CONNECT_TIMEOUT_MS} ms`;
  const cause = description?.error;
  if (cause?.message === NO_SOCKET_IO) return `${NO_SOCKET_IO}: ${WANTED_PORT}`;
  return cause?.code ?? (cause?.message || message);
}

/** One connection of `type: "api"`, and the calls on it that have no answer yet, in the order they were made. */
export function createRelayConnection(options: {
  /** As `readRelayUrl` reads it. */
  url: string;
  getToken: () => Promise<string> | string;
  /** Refusals in a row after which calls fail with the relay's error. */
  maxRefusals: number;
  maxPending: number;
  onStateChange: (state: ConnectionState) => void;
}): RelayConnection {
  const pending = new Set<PendingCall>();
  let closed = false;
  let retryTimer: NodeJS.Timeout | undefined;
  let refusals = 0;
  /** The error with which calls fail, once it is certain that none succeeds until the next attempt. */
  let lastRefusal: GroupcastError | undefined;
  /** The error of the last attempt that failed for another reason. */
  let lastProblem = `the relay at ${options.url} cannot be reached`;
  /** The error because of which there was no token for the last attempt. */
  let tokenProblem: Error | undefined;
  const { origin, path } = relayAddress(options.url);

  const socket = io(origin, {
    path,
    transports: ['websocket'],
    forceNew: true,
    reconnectionDelay: RECONNECT_MIN_MS,
    reconnectionDelayMax: RECONNECT_MAX_MS,
    timeout: CONNECT_TIMEOUT_MS,
    auth: (give) => {
      Promise.resolve()
        .then(options.getToken)
        .then(
          (token) => {
            tokenProblem = undefined;
            give({ token: trimmed(token), type: 'api' });
          },
          // Without a token the relay refuses, and the next attempt asks again.
          (error: unknown) => {
            tokenProblem = error instanceof Error ? error : new Error(String(error));
            give({ type: 'api' });
          },
        );
    },
  });

  function transmit(call: PendingCall): void {
    try {
      socket.emit(call.event, call.payload, call.settle);
    } catch (cause) {
      // A payload that contains itself, for example: it will never be sent, and must not keep the others back.
      call.fail(isNoJson(call.event, cause));
    }
  }

  /** One packet that the relay does not take ends the connection: without it the others go through after a reconnect. */
  function failLargest(): void {
    const sizes = [...pending].map((call) => ({ call, bytes: Buffer.byteLength(JSON.stringify(call.payload)) }));
    const largest = sizes.toSorted((a, b) => b.bytes - a.bytes)[0]?.call;
    largest?.fail(
      new GroupcastError(
        'PAYLOAD_TOO_LARGE',
        `unable to send ${largest.event}; the relay takes no packet of that size`,
      ),
    );
  }

  socket.on('connect', () => {
    refusals = 0;
    lastRefusal = undefined;
    lastProblem = `the relay at ${options.url} cannot be reached`;
    options.onStateChange({ name: 'connected' });
    for (const call of pending) transmit(call);
  });
  socket.on('disconnect', (_reason, details) => {
    // Packets that Socket.IO keeps back for the next connection are in `pending` too, and leave from there, in order.
    socket.sendBuffer = [];
    if (closed) return;
    if (closeCodeOf(details) === MESSAGE_TOO_BIG) failLargest();
    options.onStateChange({ name: 'disconnected' });
    // After a disconnect by the server Socket.IO stays away for good; a broadcaster comes back.
    if (!socket.active) reconnectLater(RECONNECT_MAX_MS);
  });
  function unreachable(problem: string, cause: Error): void {
    lastRefusal = undefined;
    lastProblem = problem;
    options.onStateChange({ name: 'unreachable', error: new Error(problem, { cause }) });
  }

  /** Errors that waiting cannot repair fail the calls at once, under their own code. */
  function refuse(refusal: GroupcastError): void {
    refusals += 1;
    lastProblem = `the relay at ${options.url} refuses this back end: ${refusal.message}`;
    if (!refusal.retryable && refusals >= options.maxRefusals) {
      lastRefusal = refusal;
      for (const call of pending) call.fail(refusedBackEnd(call.event, options.url, refusal));
    }
    options.onStateChange({ name: 'refused', error: refusal });
  }

  socket.on('connect_error', (error: ConnectError) => {
    if (closed) return;
    if (!error.data?.code) unreachable(`the relay at ${options.url} cannot be reached (${causeOf(error)})`, error);
    else if (tokenProblem) unreachable(`there is no service token (${tokenProblem.message})`, tokenProblem);
    else refuse(fromBody(error.data));
    // A token refused for the first time may be followed by one that is taken.
    const isFirst = refusals > 0 && refusals < options.maxRefusals;
    if (!socket.active) reconnectLater(isFirst ? RECONNECT_MIN_MS : RECONNECT_MAX_MS);
  });
  socket.on('session-ending', (ending: SessionEnding) => {
    if (ending.next !== 'refresh-token') return;
    Promise.resolve()
      .then(options.getToken)
      .then(
        (token) => socket.emit('refresh-token', { token: trimmed(token) }),
        // The relay closes the connection at expiry, and the reconnect asks for a token again.
        () => undefined,
      );
  });

  function reconnectLater(withinMs: number): void {
    clearTimeout(retryTimer);
    retryTimer = setTimeout(() => socket.connect(), withinMs * (0.5 + Math.random() / 2));
  }

  options.onStateChange({ name: 'connecting' });

  return {
    get connected() {
      return socket.connected;
    },
    async call<T>(event: RelayCall, payload: unknown, timeoutMs: number): Promise<T> {
      if (closed) throw isClosed(event);
      if (lastRefusal) throw refusedBackEnd(event, options.url, lastRefusal);
      if (pending.size >= options.maxPending) throw tooManyWaiting(event, pending.size);
      return new Promise<T>((resolve, reject) => {
        const timer = setTimeout(() => {
          const why = socket.connected ? `the relay at ${options.url} did not answer` : lastProblem;
          const late = `unable to send ${event}; ${why} within ${timeoutMs} ms`;
          call.fail(new GroupcastError('RELAY_UNAVAILABLE', late));
        }, timeoutMs);
        const finish = (): boolean => {
          clearTimeout(timer);
          return pending.delete(call);
        };
        const call: PendingCall = {
          event,
          payload,
          settle: (raw) => {
            if (!finish()) return;
            const answer = raw as Answer<T & object> | undefined;
            if (!answer?.ok) {
              reject(fromBody(answer?.error));
              return;
            }
            const { ok: _, ...result } = answer;
            resolve(result as T);
          },
          fail: (error) => {
            if (finish()) reject(error);
          },
        };
        pending.add(call);
        if (socket.connected) transmit(call);
      });
    },
    close() {
      closed = true;
      clearTimeout(retryTimer);
      socket.close();
      for (const call of pending) call.fail(wasClosed(call.event));
      options.onStateChange({ name: 'closed' });
    },
  };
}
