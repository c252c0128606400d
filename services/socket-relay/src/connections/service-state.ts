import { type Logger, warnOnceEvery } from '@groupcast/service-kit';
import type { RelayMetrics } from '../metrics/relay-metrics.ts';
import type { MonitorFeed } from '../monitor/monitor-feed.ts';
import type { NodeLeases } from '../nodes/node-leases.ts';
import type { RelayServer, RelaySocket } from '../sessions/session.ts';
import { tell as tellSocket } from '../sessions/tell.ts';

/**
 * Tells every connection about the relay itself. A relay that loses its lease keeps its connections. It delivers nothing to them, because
 * somebody may be removed without its knowledge, and says so (`live: false`). Once it has a lease again, and has carried out the removals
 * that it missed (`NodeLeases.beforeTrust`), every group gets its missed events from the log, and only then the connections are told that
 * the relay is live.
 */
export interface ServiceState {
  /** Tells a connection that comes in while nothing is delivered. */
  welcome(socket: RelaySocket): void;
}

export function keepServiceState(deps: {
  io: RelayServer;
  leases: Pick<NodeLeases, 'held' | 'onChange'>;
  /** Brings every group to where its log is. Returns false if the lease ended first. */
  catchUp: () => Promise<boolean>;
  monitor: MonitorFeed;
  metrics: Pick<RelayMetrics, 'live'>;
  log: Logger;
}): ServiceState {
  const { io, leases, monitor, metrics, log } = deps;
  const warn = warnOnceEvery(60_000);
  /** The state that connections were told last. */
  let live = true;
  let awaySince = 0;
  /** Number of leases that were lost: catching up before the last loss is not enough. */
  let losses = 0;

  function tell(now: boolean): void {
    if (live === now) return;
    live = now;
    metrics.live.set(live ? 1 : 0);
    io.local.emit('service-state', { live });
  }

  function lost(): void {
    losses += 1;
    if (live) awaySince = performance.now();
    tell(false);
    const message = 'this relay cannot reach the others: its members are kept, and get nothing until it can';
    monitor.publish({ kind: 'warning', code: 'BROKER_UNAVAILABLE', message });
    warn('lost', (suppressed) => log.warn({ code: 'BROKER_UNAVAILABLE', suppressed }, message));
  }

  async function regained(): Promise<void> {
    if (live) return;
    const before = losses;
    if (!(await deps.catchUp()) || before !== losses || !leases.held()) return;
    tell(true);
    log.info(
      { awayMs: Math.round(performance.now() - awaySince) },
      'members have their missed events; delivering again',
    );
  }

  leases.onChange((held) => {
    if (!held) lost();
    else regained().catch((error: unknown) => log.error({ err: error }, 'unable to go live again'));
  });

  return {
    welcome(socket) {
      if (!live) tellSocket(socket, 'service-state', { live });
    },
  };
}
