import type { EventEmitter } from 'node:events';
import { WebSocketTransport } from './web-socket-transport.ts';

type Listener = (this: object, first?: unknown, second?: unknown) => void;
type Listeners = Record<string | symbol, unknown>;

/** Methods and fields that have no public name. Where one has another name in a new version, its listeners stay as they are. */
export interface EngineListeners extends EventEmitter {
  transport: EventEmitter;
  cleanupFn?: unknown[];
  _events?: Listeners;
  onError(error: unknown): void;
  flush(): void;
  onPacket(packet: unknown): void;
  onDrain(): void;
  onClose(reason: string): void;
}
export interface ClientListeners {
  decoder?: { _callbacks?: Listeners };
  ondata?: Listener;
  onerror?: Listener;
  onclose?: Listener;
  ondecoded?: Listener;
}

const ENGINE = Symbol('engine');
const CLIENT = Symbol('client');

function engineOf(transport: object): EngineListeners {
  return (transport as { [ENGINE]: EngineListeners })[ENGINE];
}

const OF_TRANSPORT: Readonly<Record<string, Listener>> = {
  error(error) {
    engineOf(this).onError(error);
  },
  ready() {
    engineOf(this).flush();
  },
  packet(packet) {
    engineOf(this).onPacket(packet);
  },
  drain() {
    engineOf(this).onDrain();
  },
  close() {
    engineOf(this).onClose('transport close');
  },
};

type ClientMethod = 'ondata' | 'onerror' | 'onclose' | 'ondecoded';

/** Is called on the emitter that the client listens to, or on the client itself. */
function ofClient(name: ClientMethod): Listener {
  return function onClient(first, second) {
    const client = (this as { [CLIENT]?: ClientListeners })[CLIENT] ?? this;
    (Object.getPrototypeOf(client) as Required<ClientListeners>)[name].call(client, first, second);
  };
}
const OF_ENGINE = { data: 'ondata', error: 'onerror', close: 'onclose' } as const;
const OF_CLIENT: Readonly<Record<ClientMethod, Listener>> = {
  ondata: ofClient('ondata'),
  onerror: ofClient('onerror'),
  onclose: ofClient('onclose'),
  ondecoded: ofClient('ondecoded'),
};

/** The client removes its listeners by the names they have in it. */
function share(client: ClientListeners, name: ClientMethod, listeners: Listeners | undefined, event: string): void {
  const own = client[name];
  const present = listeners?.[event];
  if (!listeners || !own) return;
  if (present === own) listeners[event] = OF_CLIENT[name];
  else if (Array.isArray(present) && present.includes(own)) {
    listeners[event] = present.map((each: unknown) => (each === own ? OF_CLIENT[name] : each));
  } else return;
  client[name] = OF_CLIENT[name];
}

/** Engine.IO listens to its transport with five functions that are the connection's own, and a sixth that removes them. */
export function shareTransportListeners(engine: EngineListeners): void {
  const { transport } = engine;
  if (!(transport instanceof WebSocketTransport)) return;
  const events = (transport as { _events?: Listeners })._events;
  // Somebody else listens too, or Engine.IO does not listen as it did.
  if (!events || Object.keys(OF_TRANSPORT).some((name) => typeof events[name] !== 'function')) return;
  Object.assign(transport, { [ENGINE]: engine });
  Object.assign(events, OF_TRANSPORT);
  // None of them does anything for an engine that is closed.
  engine.cleanupFn = [];
}

/** Socket.IO's client listens to its engine and its decoder with four. */
export function shareClientListeners(client: ClientListeners, engine: EngineListeners): void {
  const { decoder } = client;
  if (!decoder) return;
  Object.assign(engine, { [CLIENT]: client });
  Object.assign(decoder, { [CLIENT]: client });
  for (const [event, name] of Object.entries(OF_ENGINE)) share(client, name, engine._events, event);
  share(client, 'ondecoded', decoder._callbacks, '$decoded');
}
