import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import type { GroupLog } from './group-log/group-log.ts';

export interface RelayMetrics {
  registry: Registry;
  connections: Gauge<'type'>;
  refused: Counter<'code'>;
  eventsRefused: Counter<'code'>;
  broadcasts: Counter<'outcome'>;
  deliveries: Counter;
  withoutRecipients: Counter;
  slowConsumers: Counter<'reason'>;
  slowConsumerBacklog: Histogram;
}

/** One registry per relay, so that two relays in one process do not count for each other. */
export function createRelayMetrics(groupLog: GroupLog): RelayMetrics {
  const registry = new Registry();
  const registers = [registry];
  collectDefaultMetrics({ register: registry });
  const logSize = new Gauge({
    name: 'groupcast_relay_group_log',
    help: 'What the group log holds: groups, events, bytes (estimate)',
    labelNames: ['of'],
    registers,
    collect() {
      for (const [of, value] of Object.entries(groupLog.stats())) logSize.set({ of }, value);
    },
  });
  return {
    registry,
    connections: new Gauge({
      name: 'groupcast_relay_connections',
      help: 'Open Socket.IO connections by type',
      labelNames: ['type'],
      registers,
    }),
    refused: new Counter({
      name: 'groupcast_relay_connections_refused_total',
      help: 'Connections refused by code',
      labelNames: ['code'],
      registers,
    }),
    eventsRefused: new Counter({
      name: 'groupcast_relay_events_refused_total',
      help: 'Socket events and commands answered with an error, by code',
      labelNames: ['code'],
      registers,
    }),
    broadcasts: new Counter({
      name: 'groupcast_relay_broadcasts_total',
      help: 'Broadcasts by what the group log said',
      labelNames: ['outcome'],
      registers,
    }),
    deliveries: new Counter({
      name: 'groupcast_relay_deliveries_total',
      help: 'Events handed to connections',
      registers,
    }),
    withoutRecipients: new Counter({
      name: 'groupcast_relay_broadcasts_without_recipients_total',
      help: 'Broadcasts that no connection was there to receive',
      registers,
    }),
    slowConsumers: new Counter({
      name: 'groupcast_relay_slow_consumers_total',
      help: 'Connections cut because they did not read what they were sent, by reason',
      labelNames: ['reason'],
      registers,
    }),
    slowConsumerBacklog: new Histogram({
      name: 'groupcast_relay_slow_consumer_backlog_bytes',
      help: 'What was waiting for a connection when it was cut',
      buckets: [1, 4, 5, 8, 16, 64].map((mebibytes) => mebibytes * 1_048_576),
      registers,
    }),
  };
}
