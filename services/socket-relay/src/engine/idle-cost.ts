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

/** The handshake of every connection once it is made: code that looks for one later finds that there is none. */
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

/** The relay asks clients for no acknowledgements. */
const NO_ACKNOWLEDGEMENTS = new Map<number, unknown>();

/** Makes an object without a prototype that V8 does not keep as a hash table. */
const Listeners = function Listeners() {
  // The caller fills it.
} as unknown as new () => Record<string | symbol, unknown>;
Listeners.prototype = Object.create(null) as unknown;

/** Events that end a connection end it once, so a listener that stays may hear them twice. */
const ONCE_ANYWAY: ReadonlySet<string | symbol> = new Set(['close', 'error']);

/** Returns the listener itself: a listener for one time costs three objects more than one that stays. */
function unwrapped(listeners: unknown): unknown {
  return Array.isArray(listeners)
    ? listeners.map(unwrapped)
    : ((listeners as { listener?: unknown }).listener ?? listeners);
}

/** Saves about a tenth of the bytes: Node makes the table of an emitter's listeners a hash table, and stays with it. */
function packListeners(emitter: EmitterInternals | null | undefined): void {
  const events = emitter?._events;
  if (!emitter || !events) return;
  const packed = new Listeners();
  for (const name of Reflect.ownKeys(events)) {
    const listeners = events[name];
    // Node lists events that a stream may have one day, for the sake of the object's shape.
    if (listeners !== undefined) packed[name] = ONCE_ANYWAY.has(name) ? unwrapped(listeners) : listeners;
  }
  emitter._events = packed;
}

/** Cuts the array to its length: the first push to an array makes room for seventeen. */
function trim<T>(array: T[] | undefined): T[] | undefined {
  return array?.slice();
}

/** Makes a queue with room for two, since more seldom wait. */
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
    // Engine.IO's own listener, for the time before there is a transport.
    if (listener.name === 'onUpgradeError') webSocket.removeListener('error', listener as () => void);
  }
  for (const part of isPlain ? [webSocket, receiver, sender] : []) if (part) part._extensions = NO_EXTENSIONS;
  for (const emitter of [webSocket, receiver, wire]) packListeners(emitter);
}

/** Is called again when the connection has got another transport. */
function slimTransport(this: EngineInternals): void {
  this.request = undefined;
  shareTransportListeners(this);
  const { transport } = this;
  if (transport.socket) {
    const { _events: listeners } = transport;
    // The listeners are for answers to polls.
    if (listeners && typeof listeners['headers'] === 'function') transport.removeAllListeners('headers');
    slimWebSocket(transport.socket);
  }
  packListeners(transport);
}

/**
 * Lets go of everything that a connection needed only in order to be made. Call it once the connection is welcomed: from then on it has no
 * handshake, no headers and no first request. Much of the memory that stock Socket.IO holds for an idle connection is of that kind, or
 * empty space.
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
