import type { EventEmitter } from 'node:events';
import { type Logger, warnOnceEvery } from '@groupcast/service-kit';
import type { Socket as EngineSocket } from 'engine.io';
import { cutConnection, pendingBytes } from '../engine/wire.ts';
import type { RelayMetrics } from '../metrics.ts';

export interface UnauthenticatedLimits {
  /** A connection that has not authenticated by then is cut, in milliseconds. */
  deadlineMs: number;
  /** Long-polling sessions that have not authenticated, which cost no descriptor; the oldest makes room. */
  pollingSessions: number;
  /** Bytes of unfinished packets, over all connections that have not authenticated; the largest make room. */
  pendingBytes: number;
}

/** Connections of which nothing is known yet: what they hold is bounded together, since anybody can open them. */
export interface Unauthenticated {
  /** The connection has authenticated, and is counted elsewhere. */
  forget(conn: EngineSocket): void;
  stop(): void;
}

const LOOK_MS = 200;

export function createUnauthenticated(
  deps: { engine: EventEmitter; metrics: RelayMetrics; log: Logger },
  limits: UnauthenticatedLimits,
): Unauthenticated {
  const { engine, metrics, log } = deps;
  /** In the order in which they came, and when that was. */
  const connections = new Map<EngineSocket, number>();
  const polling = new Set<EngineSocket>();
  const warn = warnOnceEvery(60_000);
  let timer: NodeJS.Timeout | undefined;

  function forget(conn: EngineSocket): void {
    connections.delete(conn);
    polling.delete(conn);
  }

  function cut(conn: EngineSocket, why: string): void {
    forget(conn);
    metrics.unauthenticatedCut.inc({ reason: why });
    warn(why, (suppressed) => {
      log.warn({ reason: why, address: conn.remoteAddress, suppressed }, 'connection cut before it authenticated');
    });
    cutConnection(conn);
  }

  function look(): void {
    timer = undefined;
    const now = performance.now();
    let bytes = 0;
    const pending: { conn: EngineSocket; bytes: number }[] = [];
    for (const [conn, since] of connections) {
      if (conn.readyState === 'closed') forget(conn);
      else if (now - since >= limits.deadlineMs) cut(conn, 'deadline');
      else {
        const held = pendingBytes(conn);
        if (held === 0) continue;
        bytes += held;
        pending.push({ conn, bytes: held });
      }
    }
    if (bytes > limits.pendingBytes) {
      pending.sort((a, b) => b.bytes - a.bytes);
      for (const each of pending) {
        if (bytes <= limits.pendingBytes) break;
        bytes -= each.bytes;
        cut(each.conn, 'pending-bytes');
      }
    }
    keepLooking();
  }

  function keepLooking(): void {
    if (timer || connections.size === 0) return;
    timer = setTimeout(look, LOOK_MS);
    timer.unref();
  }

  engine.on('connection', (conn: EngineSocket) => {
    connections.set(conn, performance.now());
    if (conn.transport.name === 'polling') {
      polling.add(conn);
      if (polling.size > limits.pollingSessions) {
        for (const oldest of polling) {
          cut(oldest, 'polling-sessions');
          break;
        }
      }
    }
    keepLooking();
  });

  return {
    forget,
    stop() {
      clearTimeout(timer);
      connections.clear();
      polling.clear();
    },
  };
}
