import { Counter, Gauge, type Registry } from 'prom-client';

/** Metrics of what publishers and members ask of this relay, and what became of it. */
export interface BroadcastMetrics {
  /** Reports what the group log holds in this process; `undefined` where that is nothing. */
  watchLog(stats: () => Readonly<Record<string, number>> | undefined): void;
  /** Requests to the broadcast API on the public port that were answered with an error. */
  publicApiRefused: Counter<'code'>;
  eventsRefused: Counter<'code'>;
  broadcasts: Counter<'outcome'>;
  /** Broadcasts that waited for the fan-out, and those that were refused because of it. */
  broadcastsDelayed: Counter;
  broadcastsHeldOff: Counter<'reason'>;
  deliveries: Counter;
  withoutRecipients: Counter;
  /** Transient events of groups (ADR 14), and `dropped` ones that could not be sent to other relays. */
  transientEvents: Counter<'event' | 'way'>;
}

export function createBroadcastMetrics(registers: Registry[]): BroadcastMetrics {
  return {
    watchLog(stats) {
      const size = new Gauge({
        name: 'groupcast_relay_group_log',
        help: 'What the group log holds: groups, events, bytes (estimate)',
        labelNames: ['of'],
        registers,
        collect() {
          for (const [of, value] of Object.entries(stats() ?? {})) size.set({ of }, value);
        },
      });
    },
    publicApiRefused: new Counter({
      name: 'groupcast_relay_public_api_requests_refused_total',
      help: 'Requests to the broadcast API on the public port answered with an error, by code',
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
    broadcastsDelayed: new Counter({
      name: 'groupcast_relay_broadcasts_delayed_total',
      help: 'Broadcasts that waited because the fan-out was behind',
      registers,
    }),
    broadcastsHeldOff: new Counter({
      name: 'groupcast_relay_broadcasts_held_off_total',
      help: 'Broadcasts refused because the fan-out was behind: too many waited already, or it had waited too long',
      labelNames: ['reason'],
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
    transientEvents: new Counter({
      name: 'groupcast_relay_transient_events_total',
      help: 'Transient events by name and way: sent by this relay, received from others, refused, dropped on the way to others',
      labelNames: ['event', 'way'],
      registers,
    }),
  };
}
