import type { Logger } from '@groupcast/service-kit';
import type { FanOut } from '../fan-out/fan-out.ts';
import { createClusterFeed } from '../feed/cluster-feed.ts';
import type { GroupFeed } from '../feed/feed.ts';
import type { RelayMetrics } from '../metrics.ts';
import { cutOff } from '../nodes/broker-errors.ts';
import type { ShardChannels } from '../nodes/channels.ts';
import { createNodeLeases, type NodeLeases } from '../nodes/node-leases.ts';
import { type NodeRequests, startNodeRequests } from '../nodes/node-requests.ts';
import type { PresenceStore } from '../presence/presence-store.ts';
import { type Broker } from './broker.ts';

/** What this relay shares with others. */
export interface ClusterMembership {
  channels: ShardChannels;
  leases: NodeLeases;
  requests: NodeRequests;
  feed: GroupFeed;
  presence: PresenceStore;
  /** What `/readyz` is to name; nothing while the broker can be reached and the lease holds. */
  failing(): string[];
  /** Gives the lease back, and then listens to nobody any more. */
  leave(): Promise<void>;
  /** The last: what is still asked of the broker fails. */
  stop(): void;
}

/** Nobody is told who is there by a relay that may not know who may be told. */
function whileTrusted(store: PresenceStore, leases: NodeLeases): PresenceStore {
  return {
    ...store,
    async read(groupId) {
      if (!leases.held()) throw cutOff(`tell who is in group "${groupId}"`);
      return store.read(groupId);
    },
  };
}

/** Listens to the other relays. They count on this one, and it is trusted, once `leases` are started. */
export async function joinCluster(deps: {
  broker: Broker;
  node: string;
  leaseMs: number;
  fanOut: FanOut;
  metrics: RelayMetrics;
  hasMonitors: () => boolean;
  onPresence: (groupId: string) => void;
  log: Logger;
}): Promise<ClusterMembership> {
  const { broker, node, fanOut, metrics, log, leaseMs } = deps;
  const { channels, groupLog, renewLease } = broker;
  const leases = createNodeLeases({ renewLease, node, leaseMs, hasMonitors: deps.hasMonitors, log });
  const requests = await startNodeRequests({ node, channels, leases, log });
  // Should the list of leases be lost before the others have read it again, they wait for this node all the same.
  leases.beforeTrust(async () => requests.tell('has-lease', { node }));
  requests.answer('has-lease', async (other: { node: string }) => {
    leases.noticed(other.node);
    return {};
  });
  // Strangers learn of this node now, and not with their next renewal: until then they would deliver what is said here, and the reverse.
  leases.onChange(() => {
    if (leases.strangers().length > 0) requests.tell('has-lease', { node }).catch(() => undefined);
  });
  const feed = createClusterFeed({
    node,
    fanOut,
    groupLog,
    channels,
    metrics,
    log,
    isTrusted: leases.held,
    onPresence: deps.onPresence,
  });
  return {
    channels,
    leases,
    requests,
    feed,
    presence: whileTrusted(broker.openPresence(leases), leases),
    failing() {
      if (broker.isReady() && leases.held()) return [];
      return broker.isReady() && leases.strangers().length > 0 ? ['deployment'] : [broker.name];
    },
    async leave() {
      await leases.stop();
      feed.stop();
      requests.stop();
    },
    stop: () => broker.stop(),
  };
}
