import type { ConnectionLimit } from '@groupcast/service-kit';
import { Counter, Gauge, type Registry } from 'prom-client';

export const COMEBACK_OUTCOMES = ['recovered', 'not-found', 'not-asked', 'not-exact'] as const;
type ComebackOutcome = (typeof COMEBACK_OUTCOMES)[number];

/** Metrics of connections: open, refused, ended, and come back. */
export interface ConnectionMetrics {
  /** Reports how many TCP connections a port has. */
  watchConnections(port: string, limit: ConnectionLimit): void;
  tcpRefused: Counter<'port'>;
  tcpClosed: Counter<'port' | 'reason'>;
  connections: Gauge<'type'>;
  refused: Counter<'code'>;
  /** Connections that were cut before they authenticated, because of the memory they hold. */
  unauthenticatedCut: Counter<'reason'>;
  /** Requests that the internal port refused by their origin: a page's, or a proxy's without a token. */
  internalRefused: Counter<'code'>;
  /** Connections that ended, by the code that they were told, or else by Socket.IO's reason. */
  disconnects: Counter<'type' | 'reason'>;
  /** Stock clients that came back with the id of a session, by what they were given. */
  comebacks: { inc(labels: { outcome: ComebackOutcome }): void };
}

export function createConnectionMetrics(registers: Registry[]): ConnectionMetrics {
  const ports = new Map<string, ConnectionLimit>();
  const tcpConnections = new Gauge({
    name: 'groupcast_relay_tcp_connections',
    help: 'TCP connections that are open, and that may be, by port',
    labelNames: ['port', 'of'],
    registers,
    collect() {
      for (const [port, { sockets, max }] of ports) {
        tcpConnections.set({ port, of: 'open' }, sockets.size);
        tcpConnections.set({ port, of: 'max' }, max);
      }
    },
  });
  const comebacks = new Counter({
    name: 'groupcast_relay_comebacks_total',
    help: "Stock clients that came back with the id of a session, by what they were given. Recovered: their session. Otherwise a new one, and their pages read the application's API: not-found, since no session of theirs was found here, at the relays that answered, or in a copy; not-asked, since the other relays could not be asked, as when too many come back at once; not-exact, since not everything could be had that they had missed, or not all of their groups",
    labelNames: ['outcome'],
    registers,
  });
  // A rise needs a value to rise from.
  for (const outcome of COMEBACK_OUTCOMES) comebacks.inc({ outcome }, 0);
  return {
    watchConnections: (port, limit) => void ports.set(port, limit),
    tcpRefused: new Counter({
      name: 'groupcast_relay_tcp_connections_refused_total',
      help: 'Connections closed at once because there was no place for them, by port',
      labelNames: ['port'],
      registers,
    }),
    tcpClosed: new Counter({
      name: 'groupcast_relay_tcp_connections_closed_total',
      help: 'Connections closed because they made room for others or did not read their answer, by port and reason',
      labelNames: ['port', 'reason'],
      registers,
    }),
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
    unauthenticatedCut: new Counter({
      name: 'groupcast_relay_unauthenticated_cut_total',
      help: 'Connections cut before they authenticated: deadline, polling-sessions, pending-bytes',
      labelNames: ['reason'],
      registers,
    }),
    internalRefused: new Counter({
      name: 'groupcast_relay_internal_requests_refused_total',
      help: 'Requests to the internal port refused for where they came from, by code',
      labelNames: ['code'],
      registers,
    }),
    disconnects: new Counter({
      name: 'groupcast_relay_disconnects_total',
      help: 'Connections that ended, by type, and by the code that they were told or else the reason that Socket.IO has',
      labelNames: ['type', 'reason'],
      registers,
    }),
    comebacks,
  };
}
