import type { SessionEnding } from '@groupcast/shared';
import { backoffMs } from '../base/backoff.ts';
import { fieldsOf } from '../base/parse.ts';
import { createStore, type OnListenerError, type Readable } from '../base/store.ts';
import { type Clock, type Logger, MAX_DELAY_MS, type Moment, millisecondsSince, thisMoment } from '../environment.ts';
import { type ClientError, isLoginError, toClientError } from '../errors.ts';
import { type ConnectionEvent, type ConnectionState, nextState } from './connection-states.ts';
import type { ConnectionTokens, Ticket } from './connection-token.ts';
import { openLink, type RelayLink, type SocketIo, type Transport } from './relay-link.ts';

export interface ConnectionSnapshot {
  state: ConnectionState;
  /** Why it is not connected, or was last not: a code for programs, a text for people. */
  reason: { code: string; message: string } | null;
}

export interface ConnectionOptions {
  transports: readonly Transport[];
  connectTimeoutMs: number;
  reconnectMinMs: number;
  reconnectMaxMs: number;
}

export interface ConnectionDeps extends ConnectionOptions {
  tokens: ConnectionTokens;
  /** What goes into the handshake beside the token. */
  handshake: () => object;
  io: SocketIo;
  clock: Clock;
  random: () => number;
  log: Logger;
  onListenerError: OnListenerError;
  /** Awaited once, beside the token: what should be known before the first connection. Never rejects. */
  ready: () => Promise<unknown>;
  /** Why it has not been started, where that is not what everybody expects. */
  idleReason: ConnectionSnapshot['reason'];
  onOpen: () => void;
  /** The connection is gone, for whatever reason; when it was heard last, by the wall clock in milliseconds. */
  onDown: (heardAt: Moment) => void;
  onEvent: (name: string, payload: unknown) => void;
}

export interface Connection extends Readable<ConnectionSnapshot> {
  start: () => void;
  /** There may be a network again: tries at once if it waits, and finds out whether an open connection is a dead one. */
  wake: () => void;
  /** The browser has a network again. As `wake`; and an attempt that began without one is given up for a new one. */
  online: () => void;
  /** The browser has no network. An open connection that does not answer within `OFFLINE_PROBE_MS` is lost. */
  offline: () => void;
  end: (reason: { code: string; message: string }) => void;
  /** What happens beside the connection: see the table. */
  move: (event: Extract<ConnectionEvent, 'behind' | 'caught-up' | 'polled' | 'poll-failed'>) => void;
  /** The link that is open. */
  readonly link: RelayLink | undefined;
  clear: () => void;
}

/** A connection that lasted so long, in milliseconds, was a success: the next failure starts from the shortest delay. */
const STABLE_MS = 5_000;
const REFRESH_RETRY_MS = 10_000;
/** After a wake-up, a connection that was silent for this long is asked whether it still lives; it has so long to answer. */
const SILENCE_MS = 3_000;
const PROBE_TIMEOUT_MS = 3_000;
/** How long a connection may take to show that it works although the browser has no network, as one to the same machine does. */
const OFFLINE_PROBE_MS = 700;
const OFFLINE = { code: 'UNREACHABLE', message: 'the browser is offline' };

/** Drives the states: attempts, tokens, and what the relay says when it ends a session. */
export function createConnection(deps: ConnectionDeps): Connection {
  const { clock, tokens, log } = deps;
  const store = createStore<ConnectionSnapshot>({ state: 'idle', reason: deps.idleReason }, deps.onListenerError);
  let link: RelayLink | undefined;
  let openedAt: number | undefined;
  let attempt: object | undefined;
  let retryTimer: unknown;
  let refreshTimer: unknown;
  let failures = 0;
  let tokenRefusals = 0;
  let withoutHandshake = false;
  let ending: SessionEnding | undefined;
  let transports = [...deps.transports];

  function move(event: ConnectionEvent, reason = store.getSnapshot().reason): void {
    const now = store.getSnapshot();
    const state = nextState(now.state, event);
    if (state === now.state && reason === now.reason) return;
    if (state !== now.state) log.debug(`connection ${now.state} -> ${state}`, { event, code: reason?.code });
    store.set({ state, reason });
  }

  /** Lets go of whatever there is of a connection or an attempt at one. */
  function drop(): void {
    attempt = undefined;
    clock.clearTimeout(retryTimer);
    clock.clearTimeout(refreshTimer);
    const wasOpen = openedAt !== undefined;
    openedAt = undefined;
    ending = undefined;
    const heardAt = link?.heardAt ?? thisMoment();
    link?.close();
    link = undefined;
    if (wasOpen) deps.onDown(heardAt);
  }

  function end(reason: { code: string; message: string }): void {
    drop();
    move('end', reason);
  }

  async function connect(): Promise<void> {
    drop();
    const mine = {};
    attempt = mine;
    move('attempt');
    let ticket: Ticket;
    try {
      [ticket] = await Promise.all([tokens.get(), deps.ready()]);
    } catch (error) {
      if (attempt === mine) failed(toClientError(error), 'api');
      return;
    }
    if (attempt !== mine) return;
    const auth = (): object => ({
      ...(withoutHandshake ? {} : deps.handshake()),
      token: ticket.token,
      type: 'user',
    });
    const options = { io: deps.io, url: ticket.relayUrl, transports, timeoutMs: deps.connectTimeoutMs, auth, clock };
    try {
      link = openLink(options, {
        onOpen: () => opened(ticket),
        onRefused: (error, timedOut) => {
          // One transport may hang where the other works; then the client never gets to the second by itself.
          if (timedOut) transports = transports.toReversed();
          failed(error, 'relay');
        },
        onLost: lost,
        onEvent,
      });
    } catch (error) {
      // A relay URL that is none.
      end({ code: 'INVALID_PAYLOAD', message: toClientError(error).message });
    }
  }

  function opened(ticket: Ticket): void {
    openedAt = clock.now();
    tokenRefusals = 0;
    move('opened', null);
    planRefresh(ticket.renewAt);
    deps.onOpen();
  }

  /** An attempt failed: is it worth another one, and when? */
  function failed(error: ClientError, by: 'api' | 'relay'): void {
    log.debug('unable to connect', { code: error.code, by });
    let atOnce = false;
    if (by === 'api' && isLoginError(error)) return end(error);
    if (by === 'relay' && isLoginError(error)) {
      tokenRefusals += 1;
      tokens.drop();
      if (tokenRefusals > 1 && ['TOKEN_REVOKED', 'FORBIDDEN', 'TOKEN_IN_QUERY'].includes(error.code)) return end(error);
      atOnce = tokenRefusals === 1;
    } else if (error.code === 'INVALID_PAYLOAD' || error.code === 'GROUP_LIMIT') {
      // Perhaps it is what the client says about its groups.
      if (withoutHandshake && error.code === 'INVALID_PAYLOAD') return end(error);
      atOnce = !withoutHandshake;
      withoutHandshake = true;
    }
    retryLater(atOnce ? 0 : delayAfter(error.retryAfterMs), error);
  }

  function lost(reason: string): void {
    const told = ending;
    const lasted = openedAt !== undefined && clock.now() - openedAt >= STABLE_MS;
    if (lasted) failures = 0;
    if (told?.code.startsWith('TOKEN_')) tokens.drop();
    const why = told ?? { code: 'UNREACHABLE', message: `the connection was lost: ${reason}` };
    // The relay spreads its clients by the delay it names; one that ends every session at once gets our own as well.
    retryLater(told && lasted ? told.retryAfterMs : delayAfter(told?.retryAfterMs), why);
  }

  function delayAfter(atLeastMs = 0): number {
    const delay = backoffMs(failures, deps.reconnectMinMs, deps.reconnectMaxMs, deps.random);
    failures += 1;
    return Math.max(atLeastMs, delay);
  }

  function retryLater(delayMs: number, { code, message }: { code: string; message: string }): void {
    drop();
    move('lost', { code, message });
    retryTimer = clock.setTimeout(() => void connect(), delayMs);
  }

  function planRefresh(at: number): void {
    clock.clearTimeout(refreshTimer);
    const delay = Math.min(Math.max(0, at - clock.now()), MAX_DELAY_MS);
    refreshTimer = clock.setTimeout(() => void refresh(), delay);
  }

  /** If it fails, it is tried again; if that comes too late, the relay closes the connection and the next one has a new token. */
  async function refresh(): Promise<void> {
    const on = link;
    if (!on) return;
    try {
      const ticket = await tokens.renew();
      if (link !== on) return;
      await on.ask('refresh-token', { token: ticket.token });
      if (link !== on) return;
      ending = undefined;
      planRefresh(ticket.renewAt);
    } catch (cause) {
      if (link !== on) return;
      const error = toClientError(cause);
      if (error.code === 'FORBIDDEN') return end(error);
      log.debug('unable to refresh the connection token', { code: error.code });
      planRefresh(clock.now() + Math.max(error.retryAfterMs ?? 0, REFRESH_RETRY_MS));
    }
  }

  /** A connection may die without a word while a computer sleeps; its own time-out would take much longer to see it. */
  async function probe(on: RelayLink, timeoutMs: number, why: string): Promise<void> {
    try {
      await on.ask('resume', { positions: {} }, timeoutMs);
    } catch (cause) {
      if (link === on && toClientError(cause).code === 'UNREACHABLE') lost(why);
    }
  }

  function probeIfSilent(on: RelayLink): void {
    if (millisecondsSince(on.heardAt) < SILENCE_MS) return;
    void probe(on, PROBE_TIMEOUT_MS, 'it does not answer');
  }

  function onEvent(name: string, payload: unknown): void {
    if (name !== 'session-ending') return deps.onEvent(name, payload);
    const told = parseEnding(payload);
    if (told?.next === 'stop') return end(told);
    ending = told;
    if (told?.next === 'refresh-token') void refresh();
  }

  return {
    getSnapshot: store.getSnapshot,
    subscribe: store.subscribe,
    start() {
      const { state } = store.getSnapshot();
      if (state !== 'idle' && state !== 'ended') return;
      if (state === 'idle') store.set({ state, reason: null });
      failures = 0;
      tokenRefusals = 0;
      void connect();
    },
    wake() {
      const { state } = store.getSnapshot();
      if ((state === 'waiting' || state === 'degraded-polling') && !attempt) void connect();
      else if (openedAt !== undefined && link) probeIfSilent(link);
    },
    online() {
      const { state } = store.getSnapshot();
      if (state === 'idle' || state === 'ended') return;
      if (openedAt !== undefined && link) probeIfSilent(link);
      else void connect();
    },
    offline() {
      const { state } = store.getSnapshot();
      if (state === 'idle' || state === 'ended') return;
      if (openedAt !== undefined && link) void probe(link, OFFLINE_PROBE_MS, OFFLINE.message);
      // Asking the API at an interval works no better; where it does, its next answer says so.
      else move('poll-failed', OFFLINE);
    },
    end,
    move: (event) => move(event),
    get link() {
      return openedAt === undefined ? undefined : link;
    },
    clear: store.clear,
  };
}

function parseEnding(payload: unknown): SessionEnding | undefined {
  const { code, message, next, retryAfterMs } = fieldsOf(payload) ?? {};
  if (typeof code !== 'string') return undefined;
  return {
    code,
    message: typeof message === 'string' ? message : code,
    next: next === 'stop' || next === 'refresh-token' ? next : 'reconnect',
    retryAfterMs: typeof retryAfterMs === 'number' && retryAfterMs > 0 ? Math.min(retryAfterMs, MAX_DELAY_MS) : 0,
  };
}
