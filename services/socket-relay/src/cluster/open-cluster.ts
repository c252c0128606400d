import type { Logger } from '@groupcast/service-kit';
import type { RelayConfig } from '../config.ts';
import type { FanOut } from '../fan-out/fan-out.ts';
import type { WorkerContext } from '../ipc/worker-context.ts';
import type { RelayMetrics } from '../metrics/relay-metrics.ts';
import type { MonitorFeed } from '../monitor/monitor-feed.ts';
import { createAlone } from './alone.ts';
import type { Broker } from './broker.ts';
import type { Cluster } from './cluster.ts';
import { joinCluster } from './join-cluster.ts';
import { openBusBroker } from './local-bus/bus-broker.ts';

export interface OpenClusterDeps {
  config: RelayConfig;
  node: string;
  /** Of a relay that is one of several workers. */
  worker: WorkerContext | undefined;
  fanOut: FanOut;
  monitor: MonitorFeed;
  metrics: RelayMetrics;
  log: Logger;
}

/**
 * Joins the other relays over Redis, or over the primary process of this machine; without either, the relay is alone. This is the only
 * place that asks. Throws when Redis cannot be reached, and `ConfigurationError` when relays of another deployment are there.
 */
export async function openCluster(deps: OpenClusterDeps): Promise<Cluster> {
  const { config, node, worker, fanOut, metrics, log } = deps;
  if (config.redis) {
    const target = config.redis;
    // A relay without Redis starts without its client.
    const { openRedisBroker } = await import('./redis-broker.ts');
    const broker = await openRedisBroker({
      target,
      node,
      machine: worker?.machine ?? node,
      config,
      metrics,
      seen: fanOut.cursor,
      log,
    });
    return joinOver(broker, deps);
  }
  if (worker) {
    return joinOver(openBusBroker({ primary: worker.primary, node, metrics, log }), deps);
  }
  return createAlone({ fanOut }, { history: config.history });
}

/** Leaves no broker open if it fails. */
async function joinOver(broker: Broker, deps: OpenClusterDeps): Promise<Cluster> {
  try {
    return await joinCluster({ ...deps, broker, leaseMs: deps.config.leaseMs });
  } catch (error) {
    broker.stop();
    throw error;
  }
}
