import type { Logger } from '@groupcast/service-kit';
import type { MonitorSnapshot } from '@groupcast/shared';
import type { MonitorFeed } from '../monitor/monitor-feed.ts';
import type { ShardChannels } from '../nodes/channels.ts';
import type { NodeLeases } from '../nodes/node-leases.ts';
import type { NodeRequests } from '../nodes/node-requests.ts';
import { decodeMonitorEvent, encodeMessage, MONITOR_CHANNEL } from '../wire-format.ts';

/** Shows the monitors of this relay the events of other relays. */
export interface MonitorLink {
  /** Returns the connections of every other relay, and shows their events from now on. */
  open(): Promise<MonitorSnapshot[]>;
}

/** Links monitors to every node. Nothing is sent while there is no monitor, except for a moment after the first one has come. */
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
      channels.publish(MONITOR_CHANNEL, encodeMessage({ type: 'monitor-event', event })).catch((error: unknown) => {
        log.debug({ err: error }, 'unable to show other relays the events of this one');
      });
    },
  });

  return {
    async open() {
      await channels.subscribe(MONITOR_CHANNEL, { onMessage: (text) => monitor.show(decodeMonitorEvent(text).event) });
      // Renewing the lease tells the others that somebody watches.
      await leases.nodes();
      return requests.survey('monitor-snapshot', {});
    },
  };
}
