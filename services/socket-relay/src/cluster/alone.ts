import type { FanOut } from '../fan-out/fan-out.ts';
import { createLocalFeed } from '../feed/local-feed.ts';
import { createMemoryGroupLog, type MemoryGroupLogOptions } from '../group-log/memory-group-log.ts';
import { createMemoryPresenceStore } from '../presence/presence-store.ts';
import type { Cluster } from './cluster.ts';
import { createSingleRelay } from './relays.ts';

/** The lease of a relay that nobody else counts on: it always holds, and so it never changes. */
const LEASES: Cluster['leases'] = {
  async start() {
    // Nobody waits for this relay.
  },
  held: () => true,
  beforeTrust() {
    // This relay is never cut off, so there is nothing to make up for.
  },
  onChange() {
    // The lease never changes.
  },
  showCanary() {
    // There is nobody to compare with.
  },
  othersCanary: () => undefined,
};

const NOBODY: Cluster['otherNodes'] = {
  answer() {
    // Nobody asks.
  },
  poll: async () => ({ answers: [], missing: [] }),
};

/** The cluster of one relay: everything is in this process, and there is nobody to wait for. */
export function createAlone(deps: { fanOut: FanOut }, options: { history: MemoryGroupLogOptions }): Cluster {
  return {
    groupLog: createMemoryGroupLog(options.history),
    groupLogKind: 'memory',
    leases: LEASES,
    feed: createLocalFeed(deps.fanOut),
    presence: createMemoryPresenceStore(),
    carrier: undefined,
    patternChannels: undefined,
    openSessionStore: undefined,
    otherNodes: NOBODY,
    otherMachines: undefined,
    followChanges: async ({ changes }) => createSingleRelay(changes),
    openMonitorLink: async () => [],
    failing: () => [],
    async leave() {
      // There is nobody to tell.
    },
    stop() {
      // There is no broker.
    },
  };
}
