import { relayAddress } from '@groupcast/shared';
import { io, type Socket } from 'socket.io-client';
import { printable } from '../terminal.ts';
import { reasonOf } from './ask.ts';
import { createWires, type Wires } from './wires.ts';

export type Transport = 'websocket' | 'polling';

/** A connection that was not made. `code` is the relay's; without one nobody has refused, and `isSilent` says whether nothing came at all. */
export class NoConnection extends Error {
  override readonly name = 'NoConnection';
  readonly code: string | undefined;
  /** The part of a service token that is wrong, as the relay names it. */
  readonly fault: string;
  readonly isSilent: boolean;

  constructor(message: string, options: { code?: string | undefined; fault?: string; isSilent?: boolean } = {}) {
    super(message);
    this.code = options.code;
    this.fault = options.fault ?? '';
    this.isSilent = options.isSilent ?? false;
  }
}

/** A connection to a relay, of a user, a back end or a monitor. It speaks the native vocabulary, whichever is usual there. */
export interface Client {
  /** Resolves once an event has come whose payload contains `text`; `undefined` after `ms` without one. */
  heard(text: string, ms: number): Promise<{ event: string } | undefined>;
  /** Asks something that is acknowledged. Rejects after `ms` without an answer. */
  call(event: string, payload: unknown, ms: number): Promise<unknown>;
  close(): void;
}

export interface Address {
  url: string;
  transport: Transport;
  auth: Readonly<Record<string, unknown>>;
  headers?: Readonly<Record<string, string>>;
}

interface ConnectError extends Error {
  data?: { code?: string; message?: string; details?: { fault?: string } };
  description?: unknown;
  context?: { statusText?: unknown; responseText?: unknown };
}

/** Reads Socket.IO's `connect_error`: a refusal carries the relay's `data`, anything else is the network's. */
function readError({ message, data, description, context }: ConnectError): NoConnection {
  if (data?.code) {
    const { fault } = data.details ?? {};
    return new NoConnection(printable(data.message ?? message), {
      code: printable(data.code),
      ...(fault === undefined ? {} : { fault: printable(fault) }),
    });
  }
  const cause = (description as { error?: unknown } | undefined)?.error ?? context?.statusText;
  const status = typeof description === 'number' && description > 0 ? `HTTP ${description}` : undefined;
  return new NoConnection(cause ? reasonOf(cause) : printable(status ?? message));
}

/** Most events that are kept: a connection hears what is said in its own group only. */
const MAX_EVENTS = 1_000;
/** How long a connection has to say goodbye, in milliseconds, before it is cut. */
const GOODBYE_MS = 500;

function clientOf(socket: Socket, wires: Wires): Client {
  const events: { event: string; text: string }[] = [];
  const listeners = new Set<() => void>();
  socket.onAny((event: string, ...payload: unknown[]) => {
    if (events.length === MAX_EVENTS) events.shift();
    events.push({ event, text: JSON.stringify(payload) });
    for (const listener of listeners) listener();
  });
  return {
    async heard(text, ms) {
      const find = (): { event: string } | undefined => events.find((each) => each.text.includes(text));
      return new Promise((resolve) => {
        const settle = (): void => {
          clearTimeout(timer);
          listeners.delete(look);
          resolve(find());
        };
        const look = (): void => {
          if (find()) settle();
        };
        const timer = setTimeout(settle, ms);
        listeners.add(look);
        look();
      });
    },
    async call(event, payload, ms) {
      return socket.timeout(ms).emitWithAck(event, payload);
    },
    close() {
      socket.close();
      setTimeout(() => wires.cut(), GOODBYE_MS).unref();
    },
  };
}

/** Connects once. Throws `NoConnection` where it fails, or takes longer than `ms`. */
export async function connect({ url, transport, auth, headers = {} }: Address, ms: number): Promise<Client> {
  const { origin, path } = relayAddress(url);
  const wires = createWires(origin);
  const socket = io(origin, {
    path,
    transports: [transport],
    forceNew: true,
    reconnection: false,
    autoConnect: false,
    timeout: ms,
    // Node takes an agent here; the types are those of browsers.
    agent: wires.agent as unknown as boolean,
    auth,
    // Every relay has it, and a dialect may have no word for the canary.
    query: { dialect: 'native' },
    extraHeaders: { 'user-agent': 'groupcast-doctor', ...headers },
  });
  const client = clientOf(socket, wires);
  return new Promise((resolve, reject) => {
    const fail = (error: NoConnection): void => {
      clearTimeout(timer);
      socket.close();
      wires.cut();
      reject(error);
    };
    const timer = setTimeout(() => fail(new NoConnection(`no answer within ${ms} ms`, { isSilent: true })), ms);
    socket.once('connect', () => {
      clearTimeout(timer);
      resolve(client);
    });
    socket.once('connect_error', (error: ConnectError) => fail(readError(error)));
    socket.once('disconnect', (reason, details) => {
      const { reason: told } = (details as { context?: { reason?: unknown } } | undefined)?.context ?? {};
      const [, code, text] = (typeof told === 'string' && /^([A-Z][A-Z_]+): (.+)$/s.exec(told)) || [];
      fail(new NoConnection(printable(text ?? reason), { code }));
    });
    socket.connect();
  });
}
