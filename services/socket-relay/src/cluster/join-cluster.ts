import type { Logger } from '@groupcast/service-kit';
import type { FanOut } from '../fan-out/fan-out.ts';
import { createClusterFeed } from '../feed/cluster-feed.ts';
import type { RelayMetrics } from '../metrics/relay-metrics.ts';
import type { MonitorFeed } from '../monitor/monitor-feed.ts';
import { cutOff } from '../nodes/broker-errors.ts';
import type { ChangeLog } from '../nodes/change-log.ts';
import { createNodeLeases, type NodeLeases } from '../nodes/node-leases.ts';
import { type NodeRequests, startNodeRequests } from '../nodes/node-requests.ts';
import type { PresenceStore } from '../presence/presence-store.ts';
import { createFencedAdapter } from '../transient/fenced-adapter.ts';
import type { Broker } from './broker.ts';
import type { Cluster } from './cluster.ts';
import { createMonitorLink } from './monitor-link.ts';
import { createManyRelays } from './relays.ts';

/**
 * Wraps the broker's store for the rest of the relay: a relay that may not know who may see a group tells nobody who is there, and a word
 * of another node on the channel of a group is a change too.
 */
function createSharedPresence(
  store: PresenceStore,
  leases: Pick<NodeLeases, 'held'>,
): { presence: PresenceStore; changed: (groupId: string) => void } {
  const listeners: ((groupId: string) => void)[] = [];
  return {
    presence: {
      ...store,
      async read(groupId) {
        if (!leases.held()) throw cutOff(`tell who is in group "${groupId}"`);
        return store.read(groupId);
      },
      onChange(listener) {
        store.onChange(listener);
        listeners.push(listener);
      },
    },
    changed(groupId) {
      for (const listener of listeners) listener(groupId);
    },
  };
}

/** Whenever a relay has its lease, the others learn of it, and learn of strangers. */
function announceLease(leases: NodeLeases, requests: NodeRequests, node: string): void {
  // If the list of leases is lost before the others have read it again, they wait for this node all the same.
  leases.beforeTrust(async () => requests.tell('has-lease', { node }));
  requests.answer('has-lease', async (other) => {
    leases.noticed(other.node);
    return {};
  });
  // Strangers learn of this node now, and not with their next renewal: until then each side would deliver events of the other.
  leases.onChange(() => {
    if (leases.strangers().length > 0) requests.tell('has-lease', { node }).catch(() => undefined);
  });
}

/** Listens to the other relays. They count on this one, and it is trusted, once `leases` are started. */
export async function joinCluster(deps: {
  broker: Broker;
  node: string;
  leaseMs: number;
  fanOut: FanOut;
  monitor: MonitorFeed;
  metrics: RelayMetrics;
  log: Logger;
}): Promise<Cluster> {
  const { broker, node, fanOut, monitor, metrics, log, leaseMs } = deps;
  const { channels, groupLog, renewLease } = broker;
  const leases = createNodeLeases({ renewLease, node, leaseMs, hasMonitors: monitor.isWatched, log });
  const requests = await startNodeRequests({ node, channels, leases, log });
  announceLease(leases, requests, node);
  const { presence, changed } = createSharedPresence(broker.openPresence(leases), leases);
  const isTrusted = leases.held;
  const feed = createClusterFeed({ node, fanOut, groupLog, channels, metrics, log, isTrusted, onPresence: changed });
  const monitorLink = createMonitorLink({ monitor, channels, leases, requests, log });
  const followed: ChangeLog[] = [];
  const carrier = createFencedAdapter({
    channels: broker.transientChannels,
    node,
    onDropped: () => metrics.transientEvents.inc({ event: 'any', way: 'dropped' }),
    log,
  });

  return {
    groupLog,
    groupLogKind: broker.groupLogKind,
    leases,
    feed,
    presence,
    carrier,
    patternChannels: broker.patternChannels,
    openSessionStore: broker.openSessionStore,
    otherNodes: requests,
    // The workers of one machine drain together, so there is no other relay to come back to.
    otherMachines: broker.name === 'redis' ? requests : undefined,
    async followChanges({ changes, onBirth }) {
      const changeLog = await broker.startChangeLog({
        onBirth,
        remember: ({ change, second }) => changes.remember(change, second),
        carryOut: async ({ change, second }) => changes.carryOut(change, second),
        log,
      });
      followed.push(changeLog);
      leases.beforeTrust(async () => changeLog.caughtUp());
      return createManyRelays({ changes, changeLog, requests, leases });
    },
    openMonitorLink: async () => monitorLink.open(),
    failing() {
      if (broker.isReady() && leases.held()) return [];
      return broker.isReady() && leases.strangers().length > 0 ? ['deployment'] : [broker.name];
    },
    async leave() {
      // The others wait for an answer from every relay that has a lease, so the lease is given back first.
      await leases.stop();
      feed.stop();
      carrier.stop();
      requests.stop();
      for (const changeLog of followed) await changeLog.stop();
    },
    stop: () => broker.stop(),
  };
}
