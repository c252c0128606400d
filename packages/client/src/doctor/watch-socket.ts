import { fieldsOf } from '../base/parse.ts';
import type { ConnectionLog } from './connection-log.ts';
import { parseFrame } from './frames.ts';
import type { Recorder } from './recorder.ts';
import type { TokenLife } from './token-life.ts';

/** The part of a stock socket that is looked at. Its listeners are left alone: a page that lists or removes its own sees no other. */
export interface SocketLike {
  readonly connected: boolean;
  readonly io: object;
}

type Listener = (...values: never[]) => void;
interface Emitter {
  on: (name: string, listener: Listener) => unknown;
  off: (name: string, listener: Listener) => unknown;
}
interface Engine extends Emitter {
  transport?: { name?: unknown };
}
interface Manager extends Emitter {
  engine?: Engine;
  uri?: unknown;
  opts?: { path?: unknown; transports?: unknown };
}
interface Packet {
  type?: unknown;
  data?: unknown;
}

export interface WatchDeps {
  log: ConnectionLog;
  recorder: Pick<Recorder, 'frame'>;
  token: Pick<TokenLife, 'sent'>;
  /** Something has changed. */
  onChange: () => void;
  /** An attempt got no answer. */
  onUnreachable: () => void;
}

export interface WatchedSocket {
  /** The relay's address, without what a query may say. */
  url: () => string;
  transport: () => string | null;
  /** The page allows another transport than polling. */
  mayUpgrade: () => boolean;
  stop: () => void;
}

/**
 * Watches the packets of a socket below its own events, where the page has no listeners: on the engine, and on the manager for engines that
 * come and go.
 */
export function watchSocket(
  socket: SocketLike,
  { log, recorder, token, onChange, onUnreachable }: WatchDeps,
): WatchedSocket {
  const manager = socket.io as Manager;
  const { nsp = '/', auth } = socket as { nsp?: string; auth?: unknown };
  const stops: (() => void)[] = [];
  let engine: Engine | undefined;
  let stopEngine = (): void => undefined;

  function listen(emitter: Emitter, listeners: Readonly<Record<string, Listener>>): () => void {
    const safe = Object.entries(listeners).map(([name, listener]) => {
      // A fault in here must not become one of the page.
      const run = (...values: never[]): void => {
        try {
          listener(...values);
          onChange();
        } catch (error) {
          console.warn('groupcast doctor: unable to record', error);
        }
      };
      emitter.on(name, run);
      return [name, run] as const;
    });
    return () => {
      for (const [name, run] of safe) emitter.off(name, run);
    };
  }

  function frame(direction: 'in' | 'out', { type, data }: Packet): void {
    const parsed = type === 'message' ? parseFrame(data) : undefined;
    if (parsed?.namespace === nsp) recorder.frame(direction, parsed);
  }

  function followEngine(): void {
    if (!manager.engine || manager.engine === engine) return;
    stopEngine();
    engine = manager.engine;
    if (socket.connected) {
      log.change('connected', { transport: transport() });
      log.told.late = true;
    } else log.change('connecting');
    stopEngine = listen(engine, {
      packet(packet: Packet) {
        log.heard();
        frame('in', packet);
      },
      packetCreate: (packet: Packet) => frame('out', packet),
      upgrade: () => log.change('upgraded', { transport: transport() }),
      handshake({ pingInterval, pingTimeout }: { pingInterval?: unknown; pingTimeout?: unknown }) {
        const ms = Number(pingInterval) + Number(pingTimeout);
        if (Number.isSafeInteger(ms) && ms > 0) log.maxSilentMs = ms;
      },
    });
  }

  /** The engine is made in this turn, and says nothing before the next one. */
  const followNext = (): void => queueMicrotask(followEngine);

  function transport(): string | null {
    const name = manager.engine?.transport?.name;
    return typeof name === 'string' ? name : null;
  }

  stops.push(
    listen(manager, {
      open() {
        followEngine();
        // An object is the page's own, and may have another token each time; a function would be called for nothing.
        token.sent(fieldsOf((socket as { auth?: unknown }).auth)?.['token']);
      },
      reconnect_attempt: followNext,
      error(error: unknown) {
        log.change('refused', { code: 'UNREACHABLE', message: fieldsOf(error)?.['message'] ?? String(error) });
        onUnreachable();
      },
      close(reason: unknown, details: unknown) {
        const told = fieldsOf(fieldsOf(details)?.['context'])?.['reason'];
        const [, code = 'CONNECTION_LOST'] = (typeof told === 'string' && /^([A-Z][A-Z_]+): /.exec(told)) || [];
        // The relay or the page may have ended it before, and said so.
        if (log.state !== 'disconnected') log.change('lost', { code, message: told || reason, transport: transport() });
      },
    }),
  );
  followEngine();
  followNext();
  token.sent(fieldsOf(auth)?.['token']);

  return {
    url() {
      try {
        const { origin } = new URL(String(manager.uri), globalThis.location?.href);
        const path = typeof manager.opts?.path === 'string' ? manager.opts.path : '/socket.io';
        return `${origin}${path.replace(/\/?$/, '/')}`;
      } catch {
        return '';
      }
    },
    transport,
    mayUpgrade: () => !Array.isArray(manager.opts?.transports) || manager.opts.transports.length > 1,
    stop() {
      stopEngine();
      for (const stop of stops) stop();
    },
  };
}
