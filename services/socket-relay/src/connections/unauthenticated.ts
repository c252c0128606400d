import type { EventEmitter } from 'node:events';
import { type Logger, warnOnceEvery } from '@groupcast/service-kit';
import { GroupcastError } from '@groupcast/shared';
import type { Socket as EngineSocket } from 'engine.io';
import { isRaw } from '../engine/raw-frames.ts';
import { unfinished } from '../engine/unfinished.ts';
import { cutConnection } from '../engine/wire.ts';
import type { RelayMetrics } from '../metrics/relay-metrics.ts';
import { connectError } from './come-back-later.ts';

export interface UnauthenticatedLimits {
  /** How long a connection may take to send a CONNECT, in milliseconds. Then it is cut. */
  deadlineMs: number;
  /** How long the check of a CONNECT may take, in milliseconds: others may have to be asked about it. */
  checkingMs: number;
  /** Most long-polling sessions that have not authenticated, which cost no descriptor. The oldest makes room. */
  pollingSessions: number;
  /** Most bytes of unfinished packets, over all connections that have not authenticated. The oldest of them make room. */
  pendingBytes: number;
}

/** Connections that have not authenticated. Their memory is bounded together, since anybody can open them. */
export interface Unauthenticated {
  /** The connection's CONNECT is being checked. */
  checking(conn: EngineSocket): void;
  /** The connection's CONNECT was refused, and it may try again. */
  refused(conn: EngineSocket): void;
  /** The connection has authenticated, and is counted elsewhere. */
  forget(conn: EngineSocket): void;
  has(conn: EngineSocket): boolean;
  stop(): void;
}

const LOOK_MS = 200;

/** A client of Socket.IO is not told: it would stay away for good. */
const tooLate = new GroupcastError('TOKEN_MISSING', 'unable to authenticate; no token came in time');

export function createUnauthenticated(
  deps: { engine: EventEmitter; metrics: RelayMetrics; log: Logger },
  limits: UnauthenticatedLimits,
): Unauthenticated {
  const { engine, metrics, log } = deps;
  /** Until when each connection may stay, in the order in which they came. */
  const connections = new Map<EngineSocket, number>();
  const polling = new Set<EngineSocket>();
  const warn = warnOnceEvery(60_000);

  function forget(conn: EngineSocket): void {
    connections.delete(conn);
    polling.delete(conn);
  }

  function note(reason: string, address: string | undefined): void {
    metrics.unauthenticatedCut.inc({ reason });
    warn(reason, (suppressed) => {
      log.warn({ reason, address, suppressed }, 'connection cut before it authenticated');
    });
  }

  function cut(conn: EngineSocket, reason: string): void {
    forget(conn);
    note(reason, conn.remoteAddress);
    if (isRaw(conn) && reason === 'deadline') conn.write(connectError(tooLate.toBody()));
    cutConnection(conn);
  }

  function look(): void {
    const now = performance.now();
    for (const [conn, until] of connections) {
      if (conn.readyState === 'closed') forget(conn);
      else if (now >= until) cut(conn, 'deadline');
    }
    unfinished.keepLimit();
  }

  unfinished.limit = limits.pendingBytes;
  const onCut = (): void => note('pending-bytes', undefined);
  unfinished.onCut = onCut;
  // It runs always, because nothing says when a WebSocket begins to probe the upgrade of a session that has authenticated.
  const timer = setInterval(look, LOOK_MS);
  timer.unref();

  function extend(conn: EngineSocket, ms: number): void {
    if (connections.has(conn)) connections.set(conn, performance.now() + ms);
  }

  engine.on('connection', (conn: EngineSocket) => {
    connections.set(conn, performance.now() + limits.deadlineMs);
    if (conn.transport.name === 'polling') {
      polling.add(conn);
      if (polling.size > limits.pollingSessions) {
        for (const oldest of polling) {
          cut(oldest, 'polling-sessions');
          break;
        }
      }
    }
  });

  return {
    checking: (conn) => extend(conn, limits.checkingMs),
    refused: (conn) => extend(conn, limits.deadlineMs),
    forget,
    has: (conn) => connections.has(conn),
    stop() {
      clearInterval(timer);
      // Another relay of this process may have set its own.
      if (unfinished.onCut === onCut)
        Object.assign(unfinished, { limit: Number.POSITIVE_INFINITY, onCut: () => undefined });
      connections.clear();
      polling.clear();
    },
  };
}
