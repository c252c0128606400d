import type { Socket, io as socketIo } from 'socket.io-client';
import { fieldsOf } from '../base/parse.ts';
import { type Clock, type Moment, thisMoment } from '../environment.ts';
import { type ClientError, fromBody, unreachable } from '../errors.ts';

export type SocketIo = typeof socketIo;
export type Transport = 'websocket' | 'polling';

/** One Socket.IO connection from its first byte to its last. It never reopens: the next connection is another link. */
export interface RelayLink {
  /** Resolves with the acknowledgement; rejects with the relay's error, or `UNREACHABLE` when there is no answer. */
  ask: (event: string, payload: object, timeoutMs?: number) => Promise<Readonly<Record<string, unknown>>>;
  /** When the last packet came from the relay, heartbeats included. */
  readonly heardAt: Moment;
  /** Closes the link; its listener is not called afterwards. */
  close: () => void;
}

export interface LinkListener {
  onOpen: () => void;
  /** The attempt failed; `error` is the relay's if there is one, else `UNREACHABLE`. */
  onRefused: (error: ClientError, timedOut: boolean) => void;
  onLost: (reason: string) => void;
  onEvent: (name: string, payload: unknown) => void;
}

const ACK_TIMEOUT_MS = 10_000;

/** Reads the reason in the close frame of a WebSocket, `CODE: message`, by which a relay refuses new connections for now. */
function closeReason(details: unknown): ClientError | undefined {
  const { reason } = fieldsOf(fieldsOf(details)?.['context']) ?? {};
  const [, code, message] = (typeof reason === 'string' && /^([A-Z][A-Z_]+): (.+)$/s.exec(reason)) || [];
  return code === undefined ? undefined : fromBody({ code, message }, { message: code, retryable: true });
}

export function openLink(
  options: {
    io: SocketIo;
    url: string;
    transports: readonly Transport[];
    /** Longest time until the relay has let the client in, in milliseconds. */
    timeoutMs: number;
    /** Called when the connection is open, so that its answer is of that moment. */
    auth: () => object;
    clock: Clock;
  },
  listener: LinkListener,
): RelayLink {
  const { origin, pathname } = new URL(options.url, (globalThis as { location?: Location }).location?.href);
  const socket: Socket = options.io(origin, {
    // A relay behind a path of a larger site; Socket.IO would take the path for a namespace.
    path: `${pathname.replace(/\/$/, '')}/socket.io/`,
    transports: [...options.transports],
    tryAllTransports: true,
    forceNew: true,
    // Socket.IO's own reconnection gives up after a refusal and after a disconnect by the server.
    reconnection: false,
    autoConnect: false,
    // The time-out below covers the handshake too.
    timeout: false as never,
    auth: (give) => give(options.auth()),
  });
  let opened = false;
  let closed = false;
  let heardAt = thisMoment();
  const heard = (): void => {
    heardAt = thisMoment();
  };

  function close(): void {
    if (closed) return;
    closed = true;
    options.clock.clearTimeout(timer);
    socket.off();
    socket.offAny();
    socket.io.off('ping', heard);
    socket.disconnect();
  }

  function refused(error: ClientError, timedOut = false): void {
    if (closed || opened) return;
    close();
    listener.onRefused(error, timedOut);
  }

  const timer = options.clock.setTimeout(
    () => refused(unreachable('unable to reach the relay in time'), true),
    options.timeoutMs,
  );
  socket.on('connect', () => {
    opened = true;
    options.clock.clearTimeout(timer);
    heard();
    listener.onOpen();
  });
  socket.on('connect_error', (error: Error & { data?: unknown }) => {
    const message = 'unable to reach the relay';
    const told = fieldsOf(error.data) !== undefined;
    refused(told ? fromBody(error.data, { message, retryable: false }) : unreachable(message, error));
  });
  socket.on('disconnect', (reason, details) => {
    if (closed) return;
    const told = opened ? undefined : closeReason(details);
    if (told) return refused(told);
    close();
    listener.onLost(reason);
  });
  socket.io.on('ping', heard);
  socket.onAny((name: string, payload: unknown) => {
    heard();
    listener.onEvent(name, payload);
  });
  socket.connect();
  // Where a server closes the connection before its greeting, Socket.IO reports no error.
  const { engine } = socket.io;
  let greeted = false;
  engine?.once('open', () => {
    greeted = true;
  });
  engine?.once('close', () => {
    if (!greeted) refused(unreachable('unable to reach the relay; it hung up'));
  });

  return {
    async ask(event, payload, timeoutMs = ACK_TIMEOUT_MS) {
      const noAnswer = `unable to ask the relay for ${event}; there was no answer`;
      if (!socket.connected) throw unreachable(noAnswer);
      const answer: unknown = await socket
        .timeout(timeoutMs)
        .emitWithAck(event, payload)
        .catch((cause: unknown) => {
          throw unreachable(noAnswer, cause);
        });
      heard();
      const fields = fieldsOf(answer);
      if (fields?.['ok'] === true) return fields;
      throw fromBody(fields?.['error'], { message: `unable to read the answer to ${event}`, retryable: false });
    },
    get heardAt() {
      return heardAt;
    },
    close,
  };
}
