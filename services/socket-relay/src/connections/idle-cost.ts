import type { EventEmitter } from 'node:events';
import type { RelaySocket } from '../relay-server.ts';

/** Fields that have no public name; one that is not there any more costs its memory, and nothing else. */
interface EngineInternals extends EventEmitter {
  request: unknown;
  cleanupFn?: unknown[];
  transport: EventEmitter & {
    socket?: EventEmitter & { _receiver?: EventEmitter | null; _socket?: EventEmitter | null };
  };
}
interface ClientInternals {
  decoder?: { _callbacks?: Record<string, unknown[]> };
}
interface SocketInternals {
  handshake: RelaySocket['handshake'];
  acks: Map<number, unknown>;
  _anyListeners?: unknown[];
  client: ClientInternals;
}
interface EmitterInternals {
  _events?: Record<string | symbol, unknown>;
}

/** Who looks for a handshake here after the connection is made finds that there is none. */
const NO_HANDSHAKE: RelaySocket['handshake'] = Object.freeze({
  headers: {},
  time: '',
  address: '',
  xdomain: false,
  secure: false,
  issued: 0,
  url: '',
  query: {},
  auth: {},
});

/** The relay asks clients for none. */
const NO_ACKNOWLEDGEMENTS = new Map<number, unknown>();

/** An object without a prototype that V8 does not keep as a hash table. */
const Listeners = function Listeners() {
  // Filled by whoever makes one.
} as unknown as new () => Record<string | symbol, unknown>;
Listeners.prototype = Object.create(null) as unknown;

/** What ends a connection ends it once, and whoever listens can hear it twice. */
const ONCE_ANYWAY: ReadonlySet<string | symbol> = new Set(['close', 'error']);

/** A listener for one time costs three objects more than one that stays. */
function unwrapped(listeners: unknown): unknown {
  return Array.isArray(listeners)
    ? listeners.map(unwrapped)
    : ((listeners as { listener?: unknown }).listener ?? listeners);
}

/** A tenth of the bytes or so: Node makes the table of an emitter's listeners a hash table, and stays with it. */
function packListeners(emitter: EmitterInternals | null | undefined): void {
  const events = emitter?._events;
  if (!emitter || !events) return;
  const packed = new Listeners();
  for (const name of Reflect.ownKeys(events)) {
    const listeners = events[name];
    // Node names those that a stream may have one day, for the sake of the object's shape.
    if (listeners !== undefined) packed[name] = ONCE_ANYWAY.has(name) ? unwrapped(listeners) : listeners;
  }
  emitter._events = packed;
}

/** The first push to an array makes room for seventeen. */
function trim<T>(array: T[] | undefined): T[] | undefined {
  return array?.slice();
}

/**
 * Lets go of what a connection needed in order to be made. To be called once it is welcomed: from then on it has no handshake, no
 * headers and no first request. Much of what stock Socket.IO holds for an idle connection is of that kind, or empty space.
 */
export function letGoOfHandshake(socket: RelaySocket): void {
  const engine = socket.conn as unknown as EngineInternals;
  const internals = socket as unknown as SocketInternals;
  engine.request = undefined;
  internals.handshake = NO_HANDSHAKE;
  internals.acks = NO_ACKNOWLEDGEMENTS;
  const cleanups = trim(engine.cleanupFn);
  if (cleanups) engine.cleanupFn = cleanups;
  const anyListeners = trim(internals._anyListeners);
  if (anyListeners) internals._anyListeners = anyListeners;
  const callbacks = internals.client.decoder?._callbacks ?? {};
  for (const name of Object.keys(callbacks)) callbacks[name] = trim(callbacks[name]) ?? [];
  const { transport } = engine;
  const { socket: webSocket } = transport;
  for (const emitter of [socket, engine, transport, webSocket, webSocket?._receiver, webSocket?._socket]) {
    packListeners(emitter as EmitterInternals | null | undefined);
  }
}
