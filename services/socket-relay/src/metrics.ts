import { Counter, collectDefaultMetrics, Gauge, Registry } from 'prom-client';
import type { GroupLog } from './group-log/group-log.ts';

export interface RelayMetrics {
  registry: Registry;
  connections: Gauge<'type'>;
  refused: Counter<'code'>;
  eventsRefused: Counter<'code'>;
  broadcasts: Counter<'outcome'>;
  deliveries: Counter;
  withoutRecipients: Counter;
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
      for (const [of, value] of Object.entries(groupLog.stats() ?? {})) logSize.set({ of }, value);
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
  };
}
