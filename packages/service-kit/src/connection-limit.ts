import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { CONNECTION_ARRIVED, REQUEST_ARRIVED, UPGRADE_ARRIVED } from './bound-requests.ts';
import type { Logger } from './logger.ts';
import { createSilentConnections } from './silent-connections.ts';
import { warnOnceEvery } from './warn-once-every.ts';
import { createWire, isEndedByUs, isRead, rankOf, type Wire } from './wire.ts';

/**
 * A process has a limited number of descriptors, and each connection takes one. `max` of them are for connections; one more is closed at
 * once, unless an unused connection makes room for it (`wire.ts` says which). Addresses are not counted: a load balancer or an office has
 * one address for everybody.
 *
 * The limit watches connections that speak HTTP, and upgraded ones until they are settled. A settled one is only counted.
 */
export interface ConnectionLimit {
  readonly max: number;
  /** Every connection that counts, also those handed over by another server. */
  readonly sockets: ReadonlySet<Socket>;
  /** Limits the connections of a bounded server. To be called before it listens. */
  guard(server: Server): void;
  /** Adds a connection that was not accepted on a guarded server. False where there was no room, and it is closed. */
  admit(socket: Socket): boolean;
  /** Whether there is room for one more, if need be after another one has made it. */
  makeRoom(): boolean;
  /** The connection belongs to another process from now on. */
  release(socket: Socket): void;
  /** The upgraded connection is authenticated: it does not make room any more. */
  settle(socket: Socket): void;
}

/** Why a connection was closed: for another one, because its answer is not read, or because its peer does not close what we have ended. */
export type CloseReason = 'made-room' | 'slow-reader' | 'half-closed';

export interface ConnectionLimitOptions {
  max: number;
  port: 'public' | 'internal';
  log: Logger;
  onRefused?: () => void;
  onClosed?: (reason: CloseReason) => void;
  /** Whether a request that is being served has no user: its connection makes room like one that has not authenticated. */
  isWaiting?: (request: IncomingMessage) => boolean;
  /** Called with what the log says: that the port is full, or has too many without a request, at most once a minute each. */
  onFull?: (message: string) => void;
  /** How long an answer may take to be read, in milliseconds. */
  answerTimeoutMs?: number;
  /** How long an upgraded connection that we have ended may take to close. */
  closeTimeoutMs?: number;
  /** How long an accepted connection may wait until it is read, and its own time begins. */
  readTimeoutMs?: number;
  sweepMs?: number;
  /** Most connections that are read and have not sent the head of a request. The oldest makes room. */
  maxSilent?: number;
}

const ANSWER_TIMEOUT_MS = 60_000;
const CLOSE_TIMEOUT_MS = 10_000;
/** A client has given up by then, or would be served for nothing. */
const READ_TIMEOUT_MS = 10_000;
const SWEEP_MS = 1_000;
/**
 * A client sends the head of its request within a millisecond or two of its connection, so few of those that are read have none. Each one
 * costs some 9 kB until its time is over, the parser of its first request among it.
 */
const MAX_SILENT = 1_024;
/** Shortest time between two searches for a connection that may make room, since each looks at every connection. */
const SEARCH_EVERY_MS = 100;
const WARN_EVERY_MS = 60_000;

export function createConnectionLimit(options: ConnectionLimitOptions): ConnectionLimit {
  const { max, port, log, onRefused, onClosed, onFull, isWaiting } = options;
  const {
    answerTimeoutMs = ANSWER_TIMEOUT_MS,
    closeTimeoutMs = CLOSE_TIMEOUT_MS,
    readTimeoutMs = READ_TIMEOUT_MS,
    sweepMs = SWEEP_MS,
    maxSilent = MAX_SILENT,
  } = options;
  const sockets = new Set<Socket>();
  const wires = new Map<Socket, Wire>();
  const silent = createSilentConnections(maxSilent, (oldest) => {
    const message = `the ${port} port has as many connections without a request as it may have (${maxSilent}): the oldest make room`;
    tell('silent', maxSilent, message);
    end(oldest, 'made-room');
  });
  const warn = warnOnceEvery(WARN_EVERY_MS, () => performance.now());
  /** Connections that may make room, the next one last. */
  let candidates: { socket: Socket; wire: Wire; since: number }[] = [];
  let searchedAt = -Infinity;

  function forget(socket: Socket): void {
    sockets.delete(socket);
    wires.delete(socket);
    silent.delete(socket);
  }
  function onClose(this: Socket): void {
    forget(this);
  }
  function end(socket: Socket, reason: CloseReason): void {
    forget(socket);
    socket.destroy();
    onClosed?.(reason);
  }

  function search(now: number): void {
    searchedAt = now;
    const ranked: { socket: Socket; wire: Wire; since: number; rank: number }[] = [];
    for (const [socket, wire] of wires) {
      const rank = rankOf(wire, socket, now, isWaiting);
      if (rank !== undefined) ranked.push({ socket, wire, since: wire.since, rank });
    }
    candidates = ranked.toSorted((a, b) => b.rank - a.rank || b.since - a.since);
  }

  /** Closes an unused connection, if there is one. */
  function closeUnused(): boolean {
    const now = performance.now();
    if (candidates.length === 0 && now - searchedAt >= SEARCH_EVERY_MS) search(now);
    for (let candidate = candidates.pop(); candidate; candidate = candidates.pop()) {
      const { socket, wire, since } = candidate;
      // It may have sent a request since it was found.
      if (wires.get(socket) !== wire || wire.since !== since || rankOf(wire, socket, now, isWaiting) === undefined)
        continue;
      end(socket, 'made-room');
      return true;
    }
    return false;
  }

  function tell(what: string, many: number, message: string): void {
    warn(what, (suppressed) => {
      log.warn({ code: 'TOO_MANY_CONNECTIONS', port, max: many, suppressed }, message);
      onFull?.(message);
    });
  }

  function full(): void {
    const message = `the ${port} port has as many connections as it may have (${max}): those that are not used make room, others are refused`;
    tell('full', max, message);
  }

  function makeRoom(): boolean {
    if (sockets.size < max) return true;
    full();
    if (closeUnused()) return true;
    onRefused?.();
    return false;
  }

  function enter(socket: Socket, state: Wire['state']): boolean {
    if (!makeRoom()) {
      socket.destroy();
      return false;
    }
    sockets.add(socket);
    socket.on('close', onClose);
    wires.set(socket, createWire(state, performance.now()));
    if (state === 'silent') silent.add(socket);
    return true;
  }

  function answered(this: ServerResponse): void {
    const wire = wires.get(this.req.socket);
    if (!wire) return;
    wire.requests -= 1;
    if (wire.requests > 0 || wire.state === 'upgraded') return;
    Object.assign(wire, createWire('idle', performance.now()));
  }

  function sweep(): void {
    const now = performance.now();
    for (const [socket, wire] of wires) {
      if (wire.state === 'upgraded') {
        if (isEndedByUs(socket) && now - wire.since > closeTimeoutMs) end(socket, 'half-closed');
      } else if (wire.state === 'silent' && socket.isPaused() && now - wire.since > readTimeoutMs) {
        const message = `the ${port} port has more new connections than it can read within ${readTimeoutMs} ms: the oldest make room`;
        tell('unread', max, message);
        end(socket, 'made-room');
      } else if (!isRead(wire, socket, now, answerTimeoutMs)) end(socket, 'slow-reader');
    }
    candidates = [];
  }

  return {
    max,
    sockets,
    guard(server) {
      let sweeping: NodeJS.Timeout | undefined;
      server.on(CONNECTION_ARRIVED, (socket: Socket) => void enter(socket, 'silent'));
      server.on(REQUEST_ARRIVED, (request: IncomingMessage, response: ServerResponse) => {
        const wire = wires.get(request.socket);
        if (!wire) return;
        silent.delete(request.socket);
        if (wire.state !== 'busy') Object.assign(wire, createWire('busy', performance.now()));
        Object.assign(wire, { requests: wire.requests + 1, request, response });
        response.once('close', answered);
      });
      server.on(UPGRADE_ARRIVED, (_request: IncomingMessage, socket: Socket) => {
        const wire = wires.get(socket);
        silent.delete(socket);
        if (wire) Object.assign(wire, createWire('upgraded', performance.now()));
      });
      server.on('listening', () => {
        sweeping ??= setInterval(sweep, sweepMs).unref();
        // Accepting has failed: there is no descriptor, or no memory. The server goes on, and those that wait in its queue with it.
        server.on('error', (error) => {
          warn('accept', (suppressed) => log.error({ err: error, port, suppressed }, 'unable to accept a connection'));
        });
      });
      server.on('close', () => clearInterval(sweeping));
    },
    admit: (socket) => enter(socket, 'upgraded'),
    makeRoom,
    release(socket) {
      socket.off('close', onClose);
      forget(socket);
    },
    settle: (socket) => void wires.delete(socket),
  };
}
