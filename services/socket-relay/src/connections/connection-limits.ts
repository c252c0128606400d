import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { type ConnectionLimit, connectionBudget, createConnectionLimit, type Logger } from '@groupcast/service-kit';
import type { RelayMetrics } from '../metrics/relay-metrics.ts';
import type { MonitorFeed } from '../monitor/monitor-feed.ts';
import type { RelayServer } from '../sessions/session.ts';
import { sessionOf } from '../sessions/session-header.ts';
import type { ConnectionIntake } from './intake.ts';

export interface ConnectionLimits {
  public: ConnectionLimit;
  internal: ConnectionLimit;
}

/** Limits the connections of a relay's two ports. A full public port takes none of the internal port's. */
export function createConnectionLimits(
  deps: {
    metrics: RelayMetrics;
    log: Logger;
    intake: Pick<ConnectionIntake, 'isUnauthenticated'>;
    monitor: Pick<MonitorFeed, 'publish'>;
  },
  options: { maxConnections: number },
): ConnectionLimits {
  const { intake, monitor, metrics, log } = deps;
  /** Whether a request to the public port is a poll of a session that has not authenticated. */
  const isWaiting = (request: IncomingMessage): boolean => intake.isUnauthenticated(sessionOf(request) ?? '');
  const budget = connectionBudget(options.maxConnections);
  function limitOf(port: 'public' | 'internal'): ConnectionLimit {
    const limit = createConnectionLimit({
      max: budget[port],
      port,
      log,
      onRefused: () => metrics.tcpRefused.inc({ port }),
      onClosed: (reason) => metrics.tcpClosed.inc({ port, reason }),
      onFull: (message) => monitor.publish({ kind: 'warning', code: 'TOO_MANY_CONNECTIONS', message }),
      ...(port === 'public' ? { isWaiting } : {}),
    });
    metrics.watchConnections(port, limit);
    return limit;
  }
  return { public: limitOf('public'), internal: limitOf('internal') };
}

/** Field of Engine.IO's transport and of ws that has no public name. */
interface EngineConnection {
  transport: { socket?: { _socket?: Socket | null } };
}

/** Marks a WebSocket whose token was accepted: it keeps its connection, however little is sent on it. */
export function settleConnections(io: RelayServer, limit: ConnectionLimit): void {
  io.on('connection', ({ conn }) => {
    const settle = (): void => {
      const wire = (conn as unknown as EngineConnection).transport.socket?._socket;
      if (wire) limit.settle(wire);
    };
    settle();
    if (conn.transport.name === 'polling') conn.once('upgrade', settle);
  });
}
