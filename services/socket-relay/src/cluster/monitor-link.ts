import type { Logger } from '@groupcast/service-kit';
import type { MonitorEvent, MonitorSnapshot } from '@groupcast/shared';
import type { MonitorFeed } from '../monitor/monitor-feed.ts';
import type { ShardChannels } from '../nodes/channels.ts';
import type { NodeLeases } from '../nodes/node-leases.ts';
import type { NodeRequests } from '../nodes/node-requests.ts';
import { RELAYS } from '../wire-format.ts';

const CHANNEL = `${RELAYS}:monitor`;

/** What other relays see, for the monitors of this one. */
export interface MonitorLink {
  /** The connections of every other relay, and from now on their events. */
  open(): Promise<MonitorSnapshot[]>;
}

/** Monitors see every node. Nothing is sent while there is none, but for a moment after the first has come. */
export function createMonitorLink(deps: {
  monitor: MonitorFeed;
  channels: ShardChannels;
  leases: NodeLeases;
  requests: NodeRequests;
  log: Logger;
}): MonitorLink {
  const { monitor, channels, leases, requests, log } = deps;
  requests.answer('monitor-snapshot', async () => monitor.snapshot());
  monitor.forwardTo({
    wanted: leases.monitored,
    send(event) {
      channels.publish(CHANNEL, JSON.stringify(event)).catch((error: unknown) => {
        log.debug({ err: error }, 'unable to show other relays what happens here');
      });
    },
  });

  return {
    async open() {
      await channels.subscribe(CHANNEL, { onMessage: (text) => monitor.show(JSON.parse(text) as MonitorEvent) });
      // Renewing the lease tells the others that somebody watches.
      await leases.nodes();
      return (await requests.survey('monitor-snapshot', {})) as MonitorSnapshot[];
    },
  };
}
