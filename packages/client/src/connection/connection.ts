import type { SessionEnding } from '@groupcast/shared';
import { backoffMs } from '../base/backoff.ts';
import { fieldsOf } from '../base/parse.ts';
import { type Clock, type Logger, MAX_DELAY_MS, type Moment, thisMoment } from '../environment.ts';
import { type ClientError, toClientError } from '../errors.ts';
import { judgeFailure } from './connect-failure.ts';
import type { ConnectionStatus } from './connection-status.ts';
import type { ConnectionTokens, Ticket } from './connection-token.ts';
import { createLinkUpkeep } from './link-upkeep.ts';
import { openLink, type RelayLink, type SocketIo, type Transport } from './relay-link.ts';

export interface ConnectionOptions {
  /** Fields of the handshake that are the same each time. */
  auth: object;
  transports: readonly Transport[];
  connectTimeoutMs: number;
  reconnectMinMs: number;
  reconnectMaxMs: number;
}

export interface ConnectionDeps {
  tokens: ConnectionTokens;
  status: ConnectionStatus;
  /** Answers the fields of the handshake beside the token. */
  handshake: () => object;
  io: SocketIo;
  clock: Clock;
  random: () => number;
  log: Logger;
  /** Reads what the client should know before its first connection; it is awaited beside the token. Never rejects. */
  ready: () => Promise<unknown>;
  onOpen: () => void;
  /** The relay has taken a new token, which the API was asked for. */
  onRenewed: () => void;
  /** The connection is gone; `heardAt` is when it was last heard. */
  onDown: (heardAt: Moment) => void;
  onEvent: (name: string, payload: unknown) => void;
}

export interface Connection {
  start: () => void;
  /** There may be a network again: tries at once if it waits, and finds out whether an open connection is a dead one. */
  wake: () => void;
  /** The browser has a network again. As `wake`; and an attempt that began without one is given up for a new one. */
  online: () => void;
  /** The browser has no network. An open connection that does not answer within `OFFLINE_PROBE_MS` is lost. */
  offline: () => void;
  end: (reason: { code: string; message: string }) => void;
}

/** Shortest time that a connection must last to count as a success, in milliseconds: the next failure starts from the shortest delay. */
const STABLE_MS = 5_000;
/** How long a connection may take to show that it works although the browser has no network, as one to the same machine does. */
const OFFLINE_PROBE_MS = 700;
const OFFLINE = { code: 'UNREACHABLE', message: 'the browser is offline' };

/** Drives the state of the connection: makes attempts with tokens, and follows the relay when it ends a session. */
export function createConnection(deps: ConnectionDeps, options: ConnectionOptions): Connection {
  const { clock, tokens, status, log } = deps;
  let link: RelayLink | undefined;
  let openedAt: number | undefined;
  let attempt: object | undefined;
  let retryTimer: unknown;
  let failures = 0;
  let tokenRefusals = 0;
  let withoutPositions = false;
  let ending: SessionEnding | undefined;
  let transports = [...options.transports];
  const upkeep = createLinkUpkeep({
    tokens,
    status,
    onRenewed() {
      ending = undefined;
      deps.onRenewed();
    },
    onRefused: end,
    onLost: lost,
    clock,
    log,
  });

  /** Closes the connection or gives up the attempt, if there is one. */
  function drop(): void {
    attempt = undefined;
    clock.clearTimeout(retryTimer);
    upkeep.stop();
    const wasOpen = status.link !== undefined;
    status.link = undefined;
    openedAt = undefined;
    ending = undefined;
    const heardAt = link?.heardAt ?? thisMoment();
    link?.close();
    link = undefined;
    if (wasOpen) deps.onDown(heardAt);
  }

  function end(reason: { code: string; message: string }): void {
    drop();
    status.move('end', reason);
  }

  async function connect(): Promise<void> {
    drop();
    const mine = {};
    attempt = mine;
    status.move('attempt');
    let ticket: Ticket;
    try {
      [ticket] = await Promise.all([tokens.get(), deps.ready()]);
    } catch (error) {
      if (attempt === mine) failed(toClientError(error), 'api');
      return;
    }
    if (attempt === mine) open(ticket);
  }

  function open(ticket: Ticket): void {
    const auth = (): object => ({
      ...options.auth,
      ...(withoutPositions ? {} : deps.handshake()),
      token: ticket.token,
      type: 'user',
    });
    const timeoutMs = options.connectTimeoutMs;
    try {
      link = openLink(
        { io: deps.io, url: ticket.relayUrl, transports, timeoutMs, auth, clock },
        {
          onOpen: () => opened(ticket),
          onRefused: (error, timedOut) => {
            // One transport may hang where the other works; then the client never gets to the second by itself.
            if (timedOut) transports = transports.toReversed();
            failed(error, 'relay');
          },
          onLost: lost,
          onEvent,
        },
      );
    } catch (error) {
      // The relay's URL cannot be read.
      end({ code: 'INVALID_PAYLOAD', message: toClientError(error).message });
    }
  }

  function opened(ticket: Ticket): void {
    openedAt = clock.now();
    status.link = link;
    tokenRefusals = 0;
    status.move('opened', null);
    upkeep.renewAt(ticket.renewAt);
    deps.onOpen();
  }

  /** An attempt failed: whether there is another one, and when. */
  function failed(error: ClientError, by: 'api' | 'relay'): void {
    log.debug('unable to connect', { code: error.code, by });
    const { next, remedy } = judgeFailure(error, by, { tokenRefusals, withoutPositions });
    if (remedy === 'new token') {
      tokenRefusals += 1;
      tokens.drop();
    }
    withoutPositions ||= remedy === 'no positions';
    if (next === 'end') end(error);
    else retryLater(next === 'at once' ? 0 : delayAfter(error.retryAfterMs), error);
  }

  function lost(reason: string): void {
    const told = ending;
    const lasted = openedAt !== undefined && clock.now() - openedAt >= STABLE_MS;
    if (lasted) failures = 0;
    if (told?.code.startsWith('TOKEN_')) tokens.drop();
    // The relay spreads its clients by the delay it names; one that ends every session at once gets our own as well.
    const delayMs = told && lasted ? told.retryAfterMs : delayAfter(told?.retryAfterMs);
    retryLater(delayMs, told ?? { code: 'UNREACHABLE', message: `the connection was lost: ${reason}` });
  }

  function delayAfter(atLeastMs = 0): number {
    const delay = backoffMs(failures, options.reconnectMinMs, options.reconnectMaxMs, deps.random);
    failures += 1;
    return Math.max(atLeastMs, delay);
  }

  function retryLater(delayMs: number, { code, message }: { code: string; message: string }): void {
    drop();
    status.move('lost', { code, message });
    retryTimer = clock.setTimeout(() => void connect(), delayMs);
  }

  function onEvent(name: string, payload: unknown): void {
    if (name !== 'session-ending') return deps.onEvent(name, payload);
    const told = parseEnding(payload);
    if (told?.next === 'stop') return end(told);
    ending = told;
    if (told?.next === 'refresh-token') void upkeep.renew();
  }

  return {
    start() {
      const { state } = status.getSnapshot();
      if (state !== 'idle' && state !== 'ended') return;
      if (state === 'idle') status.clearReason();
      failures = 0;
      tokenRefusals = 0;
      void connect();
    },
    wake() {
      const { state } = status.getSnapshot();
      if ((state === 'waiting' || state === 'degraded-polling') && !attempt) void connect();
      else upkeep.wake();
    },
    online() {
      const { state } = status.getSnapshot();
      if (state === 'idle' || state === 'ended') return;
      if (status.link) upkeep.wake();
      else void connect();
    },
    offline() {
      const { state } = status.getSnapshot();
      if (state === 'idle' || state === 'ended') return;
      if (status.link) upkeep.probe(OFFLINE_PROBE_MS, OFFLINE.message);
      // Asking the API at an interval works no better; where it does, its next answer says so.
      else status.move('poll-failed', OFFLINE);
    },
    end,
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
