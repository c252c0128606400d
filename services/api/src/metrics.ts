import { type ConnectionLimit, EVENT_LOOP_RESOLUTION_MS, type HttpApp, within } from '@groupcast/service-kit';
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';

export interface ApiMetrics {
  registry: Registry;
  /** Seconds from the commit of a message, by the database's clock, until the relay has accepted it, by this process's. */
  outboxLag: Histogram;
  /** Events that had not come live to those who asked for them: `client` by catching up over HTTP, `relay` to fill its log. */
  caughtUp: Counter<'by'>;
  dispatched: Counter;
  dispatchFailures: Counter<'code'>;
  epochsOpened: Counter;
  eventsOmitted: Counter;
  /** Events of history that were older than it is kept. */
  historyRemoved: Counter;
  /** Reads over HTTP that were not shown live. */
  readsDropped: Counter<'reason'>;
  /** Webhooks that tell who has not got a message. */
  absenceWebhooks: Counter<'outcome'>;
  requestsLimited: Counter<'by'>;
  groupsLimited: Counter<'bound'>;
  requests: Histogram<'method' | 'route' | 'status'>;
  connectionsRefused: Counter<'port'>;
  connectionsClosed: Counter<'port' | 'reason'>;
  /** Reports how long the keys of the JWKS could not be read again. */
  watchKeys(staleSeconds: () => number): void;
  watchRelay(isConnected: () => boolean): void;
  /** Reports how many connections a port has. */
  watchConnections(port: string, limit: ConnectionLimit): void;
  /** Clients of the relay that the API did not pass on to it. */
  relayProxyRefused: Counter<'code'>;
  /** Reports what is passed on to the relay. */
  watchRelayProxy(read: () => { requests: number; sockets: number; max: number }): void;
  /** Requests to the internal port refused for where they came from: from a page, or through a proxy without a token. */
  internalRefused: Counter<'code'>;
}

/** Events that the relay has not accepted. */
export interface Backlog {
  groups: number;
  events: number;
  /** Age of the oldest one, in seconds; 0 when there is none. */
  oldestSeconds: number;
}

/** How long a scrape waits for the database, in milliseconds. */
const BACKLOG_MS = 2_000;

/** Metrics of the way from the database to the relay, and around it. */
function deliveryMetrics(registers: Registry[]): Pick<ApiMetrics, 'outboxLag' | 'caughtUp'> {
  return {
    outboxLag: new Histogram({
      name: 'groupcast_api_outbox_lag_seconds',
      help: 'Time from saving a message until the relay has accepted it, where it is sent for the first time',
      buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300],
      registers,
    }),
    caughtUp: new Counter({
      name: 'groupcast_api_caught_up_events_total',
      help: 'Events that were asked for because they had not come live, by who asked: a client after a position, or a relay to fill its log',
      labelNames: ['by'],
      registers,
    }),
  };
}

/** `readBacklog` is asked on every scrape; while the database cannot answer, the gauges keep their last value. */
export function createApiMetrics(readBacklog: () => Promise<Backlog>, queryCount: () => number = () => 0): ApiMetrics {
  const registry = new Registry();
  const registers = [registry];
  const ports = new Map<string, ConnectionLimit>();
  collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: EVENT_LOOP_RESOLUTION_MS });
  let reading: Promise<void> | undefined;
  /** All three gauges of one scrape wait for one answer of the database: one that did not would show the last scrape's. */
  const collect = async (): Promise<void> => {
    reading ??= within(BACKLOG_MS, readBacklog(), 'the backlog')
      .then(({ events, groups, oldestSeconds }) => {
        backlogEvents.set(events);
        backlogGroups.set(groups);
        backlogAge.set(oldestSeconds);
      })
      .catch(() => undefined)
      .finally(() => {
        reading = undefined;
      });
    await reading;
  };
  const backlogEvents = new Gauge({
    name: 'groupcast_api_outbox_backlog_events',
    help: 'Events saved and not yet accepted by the relay',
    registers,
    collect,
  });
  const backlogGroups = new Gauge({
    name: 'groupcast_api_outbox_backlog_groups',
    help: 'Groups with events that the relay has not accepted',
    registers,
    collect,
  });
  const backlogAge = new Gauge({
    name: 'groupcast_api_outbox_oldest_seconds',
    help: 'Age of the oldest event that the relay has not accepted',
    registers,
    collect,
  });
  const tcpConnections = new Gauge({
    name: 'groupcast_api_tcp_connections',
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
  let readProxy = (): object => ({});
  const proxied = new Gauge({
    name: 'groupcast_api_relay_proxy_open',
    help: 'Requests and WebSockets that are passed on to the relay (API_RELAY_PROXY), and how many may be together',
    labelNames: ['of'],
    registers,
    collect() {
      for (const [of, count] of Object.entries(readProxy())) proxied.set({ of }, Number(count));
    },
  });
  const queries = new Gauge({
    name: 'groupcast_api_database_queries',
    help: 'Statements sent to the database since the start',
    registers,
    collect() {
      queries.set(queryCount());
    },
  });
  return {
    registry,
    ...deliveryMetrics(registers),
    connectionsRefused: new Counter({
      name: 'groupcast_api_tcp_connections_refused_total',
      help: 'Connections closed at once because there was no place for them, by port',
      labelNames: ['port'],
      registers,
    }),
    connectionsClosed: new Counter({
      name: 'groupcast_api_tcp_connections_closed_total',
      help: 'Connections closed because they made room for others or did not read their answer, by port and reason',
      labelNames: ['port', 'reason'],
      registers,
    }),
    watchConnections: (port, limit) => void ports.set(port, limit),
    relayProxyRefused: new Counter({
      name: 'groupcast_api_relay_proxy_refused_total',
      help: 'Clients of the relay that were not passed on to it (API_RELAY_PROXY), by code',
      labelNames: ['code'],
      registers,
    }),
    watchRelayProxy(read) {
      readProxy = read;
    },
    internalRefused: new Counter({
      name: 'groupcast_api_internal_requests_refused_total',
      help: 'Requests to the internal port refused for where they came from, by code',
      labelNames: ['code'],
      registers,
    }),
    watchRelay(isConnected) {
      const connected = new Gauge({
        name: 'groupcast_api_relay_connected',
        help: 'Whether this process is connected to its relay, and accepted there (1 or 0)',
        registers,
        collect() {
          connected.set(isConnected() ? 1 : 0);
        },
      });
    },
    watchKeys(staleSeconds) {
      const stale = new Gauge({
        name: 'groupcast_api_jwks_stale_seconds',
        help: 'Age of the keys of JWT_JWKS_URL while they cannot be read again; 0 while they can',
        aggregator: 'max',
        registers,
        collect() {
          stale.set(staleSeconds());
        },
      });
    },
    dispatched: new Counter({
      name: 'groupcast_api_events_dispatched_total',
      help: 'Events accepted by the relay',
      registers,
    }),
    dispatchFailures: new Counter({
      name: 'groupcast_api_dispatch_failures_total',
      help: 'Attempts to dispatch that have to be repeated, by code',
      labelNames: ['code'],
      registers,
    }),
    epochsOpened: new Counter({
      name: 'groupcast_api_epochs_opened_total',
      help: 'Epochs opened after a conflict',
      registers,
    }),
    historyRemoved: new Counter({
      name: 'groupcast_api_history_removed_total',
      help: 'Events removed because they were older than history is kept',
      registers,
    }),
    eventsOmitted: new Counter({
      name: 'groupcast_api_events_omitted_total',
      help: 'Events the relay refused for good; any is worth an alert',
      registers,
    }),
    readsDropped: new Counter({
      name: 'groupcast_api_reads_dropped_total',
      help: 'Reads over HTTP that members were not shown live, by reason: no relay, or too many at once',
      labelNames: ['reason'],
      registers,
    }),
    absenceWebhooks: new Counter({
      name: 'groupcast_api_absence_webhooks_total',
      help: 'Webhooks that tell who has not got a message (ABSENT_WEBHOOK_URL), by outcome of an attempt: sent, failed, given_up',
      labelNames: ['outcome'],
      registers,
    }),
    requestsLimited: new Counter({
      name: 'groupcast_api_requests_limited_total',
      help: 'Requests refused with RATE_LIMITED: by the budget of a user or an address, or by the queue of a user',
      labelNames: ['by'],
      registers,
    }),
    groupsLimited: new Counter({
      name: 'groupcast_api_groups_limited_total',
      help: 'Changes of groups and members refused because a user or a group is at a bound',
      labelNames: ['bound'],
      registers,
    }),
    requests: new Histogram({
      name: 'groupcast_api_request_seconds',
      help: 'Time to answer a request',
      labelNames: ['method', 'route', 'status'],
      buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5],
      registers,
    }),
  };
}

/** Counts every answer of a port, by its route. */
export function timeRequests(app: HttpApp, metrics: ApiMetrics): void {
  app.addHook('onResponse', async (request, reply) => {
    const route = request.routeOptions.url ?? 'none';
    metrics.requests.observe({ method: request.method, route, status: reply.statusCode }, reply.elapsedTime / 1_000);
  });
}
