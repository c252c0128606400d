import type { EventEmitter } from 'node:events';
import type { RelaySocket } from '../sessions/session.ts';
import {
  type ClientListeners,
  type EngineListeners,
  shareClientListeners,
  shareTransportListeners,
} from './shared-listeners.ts';

/** Fields that have no public name; one that is not there any more costs its memory, and nothing else. */
interface EngineInternals extends EngineListeners {
  request: unknown;
  sentCallbackFn?: unknown[];
  transport: EmitterInternals & { socket?: WebSocketInternals };
}
interface WebSocketInternals extends EmitterInternals {
  _receiver?: (EmitterInternals & { _buffers?: unknown[]; _extensions?: object }) | null;
  _sender?: { _extensions?: object } | null;
  _socket?: (EmitterInternals & { _peername?: object | undefined }) | null;
  _extensions?: object;
}
interface SocketInternals {
  handshake: RelaySocket['handshake'];
  acks: Map<number, unknown>;
  _anyListeners?: unknown[];
  client: ClientListeners;
}
interface EmitterInternals extends EventEmitter {
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

/** As long as it is: the first push to an array makes room for seventeen. */
function trim<T>(array: T[] | undefined): T[] | undefined {
  return array?.slice();
}

/** A queue that has seldom more than two waiting, with room for them. */
function smallQueue(waiting: readonly unknown[]): unknown[] {
  const queue: unknown[] = [0, 0];
  queue.shift();
  queue.shift();
  for (const each of waiting) queue.push(each);
  return queue;
}

const NO_EXTENSIONS = Object.freeze({});

function slimWebSocket(webSocket: WebSocketInternals): void {
  const { _receiver: receiver, _sender: sender, _socket: wire } = webSocket;
  if (receiver?._buffers) receiver._buffers = smallQueue(receiver._buffers);
  if (wire) wire._peername = undefined;
  const isPlain = webSocket._extensions && Object.keys(webSocket._extensions).length === 0;
  for (const listener of webSocket.listeners('error')) {
    // Engine.IO's own, for the time before there is a transport.
    if (listener.name === 'onUpgradeError') webSocket.removeListener('error', listener as () => void);
  }
  for (const part of isPlain ? [webSocket, receiver, sender] : []) if (part) part._extensions = NO_EXTENSIONS;
  for (const emitter of [webSocket, receiver, wire]) packListeners(emitter);
}

/** Also when the connection has got another transport. */
function slimTransport(this: EngineInternals): void {
  this.request = undefined;
  shareTransportListeners(this);
  const { transport } = this;
  if (transport.socket) {
    const { _events: listeners } = transport;
    // For answers to polls.
    if (listeners && typeof listeners['headers'] === 'function') transport.removeAllListeners('headers');
    slimWebSocket(transport.socket);
  }
  packListeners(transport);
}

/**
 * Lets go of what a connection needed in order to be made. To be called once it is welcomed: from then on it has no handshake, no
 * headers and no first request. Much of what stock Socket.IO holds for an idle connection is of that kind, or empty space.
 */
export function letGoOfHandshake(socket: RelaySocket): void {
  const engine = socket.conn as unknown as EngineInternals;
  const internals = socket as unknown as SocketInternals;
  internals.handshake = NO_HANDSHAKE;
  internals.acks = NO_ACKNOWLEDGEMENTS;
  const anyListeners = trim(internals._anyListeners);
  if (anyListeners) internals._anyListeners = anyListeners;
  shareClientListeners(internals.client, engine);
  const callbacks = internals.client.decoder?._callbacks ?? {};
  for (const name of Object.keys(callbacks)) callbacks[name] = trim(callbacks[name] as unknown[]) ?? [];
  if (engine.sentCallbackFn) engine.sentCallbackFn = smallQueue(engine.sentCallbackFn);
  const cleanups = trim(engine.cleanupFn);
  if (cleanups) engine.cleanupFn = cleanups;
  slimTransport.call(engine);
  if (engine.transport.socket === undefined) engine.once('upgrade', slimTransport);
  for (const emitter of [socket, engine]) packListeners(emitter);
}
