import { type ConnectionLimit, EVENT_LOOP_RESOLUTION_MS } from '@groupcast/service-kit';
import { ABSENT_STATES, type AbsentState } from '@groupcast/shared';
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';

export interface RelayMetrics {
  registry: Registry;
  /** Reports what the group log holds in this process; `undefined` where that is nothing. */
  watchLog(stats: () => Readonly<Record<string, number>> | undefined): void;
  /** Reports the writes of the fan-out, by path. */
  watchWrites(counts: () => Readonly<Record<string, number>>): void;
  /** Reports how often events were encoded, by dialect. */
  watchEncodings(counts: () => Readonly<Record<string, number>>): void;
  /** Events for which a dialect has no name, so that the connections that speak it were not told. */
  unsaid: Counter<'dialect'>;
  /** Reports how far the fan-out is behind, and how many broadcasts wait for it. */
  watchThrottle(throttle: { waiting: () => number; lagMs: () => number }): void;
  /** Reports the connections above `MAX_BUFFERED_BYTES`, and the bytes that wait for them. */
  watchSendBacklog(backlog: () => { connections: number; bytes: number }): void;
  /** Reports how long the keys of the JWKS could not be read again. */
  watchKeys(staleSeconds: () => number): void;
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
  /** Requests to the broadcast API on the public port that were answered with an error. */
  publicApiRefused: Counter<'code'>;
  eventsRefused: Counter<'code'>;
  broadcasts: Counter<'outcome'>;
  /** Broadcasts that waited for the fan-out, and those that were refused because of it. */
  broadcastsDelayed: Counter;
  broadcastsHeldOff: Counter<'reason'>;
  deliveries: Counter;
  /** Transient events of groups (ADR 14), and `dropped` ones that could not be sent to other relays. */
  transientEvents: Counter<'event' | 'way'>;
  withoutRecipients: Counter;
  /** 1 while members are delivered to, 0 while this relay cannot reach the others. */
  live: Gauge;
  /** Events that this node read from the shared log because they had not come by themselves. */
  filled: Counter;
  /** Messages of other relays that were not understood. */
  malformed: Counter;
  /** How long the last canary that came back was on its way. */
  canarySeconds: Gauge;
  canaryFailures: Counter;
  slowConsumers: Counter<'reason'>;
  slowConsumerBacklog: Histogram;
  /** Reports the parts for which `/readyz` says that this process is unready, or degraded. */
  watchReadiness(report: () => { failing: readonly string[]; degraded: readonly string[] }): void;
  /** Seconds from one hop to the next, on this process's own clock. */
  hopLag: HopLag;
  /** How many observations of a hop were at most so many seconds, by the bounds of `hopLag`. */
  lagBuckets(hop: Hop): Promise<{ le: number; count: number }[]>;
  /** Groups that connections came back to with a position, by what they were answered. */
  resumes: Counter<'outcome'>;
  /** Connections that ended, by the code that they were told, or else by Socket.IO's reason. */
  disconnects: Counter<'type' | 'reason'>;
  /** Users that publishers expected, and who were not there. */
  absent: { inc(labels: { why: AbsentState }, value?: number): void };
  /** Calls to the back end. */
  backEndCalls: Counter<'call' | 'outcome'>;
  /** Reports the state of each call's circuit. */
  watchBackEnd(states: () => Readonly<Record<string, 'closed' | 'half-open' | 'open'>>): void;
}

type Hop = 'written' | 'proven';

/** The hops whose time the relay measures: `written` since the event came to this relay, `proven` since the client was asked, behind what was written. */
export interface HopLag {
  observe(labels: { hop: Hop }, seconds: number): void;
}

/** Bounds of hop lags, in seconds: from what is usual to what an alert is for. */
const LAG_BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];

/** Metrics of how far messages come, and of those who are not there for them. */
function deliveryMetrics(
  registers: Registry[],
): Pick<RelayMetrics, 'hopLag' | 'lagBuckets' | 'resumes' | 'disconnects' | 'absent'> {
  const absent = new Counter({
    name: 'groupcast_relay_absent_total',
    help: 'Users that a publisher expected with expectedUserIds and who were not there, by why',
    labelNames: ['why'],
    registers,
  });
  // An alert about a rise needs a value to rise from.
  for (const why of ABSENT_STATES) absent.inc({ why }, 0);
  const hopLag = new Histogram({
    name: 'groupcast_relay_delivery_lag_seconds',
    help: 'Time to a hop from the one before it: written, since the event came to this relay, once per turn of the event loop; proven, of a client that is asked for it at once, as a publisher that waits for it does, since it was asked behind the event',
    labelNames: ['hop'],
    buckets: LAG_BUCKETS,
    registers,
  });
  return {
    absent,
    hopLag,
    async lagBuckets(hop) {
      const { values } = await hopLag.get();
      return values
        .filter(({ labels, metricName }) => labels.hop === hop && metricName?.endsWith('_bucket'))
        .map(({ labels, value }) => {
          const { le } = labels as { le?: string | number };
          return { le: le === '+Inf' ? Infinity : Number(le), count: value };
        });
    },
    resumes: new Counter({
      name: 'groupcast_relay_resumes_total',
      help: 'Groups that connections came back to with a position, by what they were answered: recovered, more (they ask again), not-recovered (they read the API)',
      labelNames: ['outcome'],
      registers,
    }),
    disconnects: new Counter({
      name: 'groupcast_relay_disconnects_total',
      help: 'Connections that ended, by type, and by the code that they were told or else the reason that Socket.IO has',
      labelNames: ['type', 'reason'],
      registers,
    }),
  };
}

const CIRCUIT_VALUES = { closed: 0, 'half-open': 1, open: 2 } as const;

/** Metrics of what the relay asks the back end. */
function backEndMetrics(registers: Registry[]): Pick<RelayMetrics, 'backEndCalls' | 'watchBackEnd'> {
  return {
    watchBackEnd(states) {
      const circuit = new Gauge({
        name: 'groupcast_relay_back_end_circuit',
        help: 'Whether calls to the back end are made: 0 yes, 1 one at a time, 2 none for a moment; by call',
        labelNames: ['call'],
        registers,
        // Of several workers the one that is worst off counts.
        aggregator: 'max',
        collect() {
          for (const [call, state] of Object.entries(states())) circuit.set({ call }, CIRCUIT_VALUES[state]);
        },
      });
    },
    backEndCalls: new Counter({
      name: 'groupcast_relay_back_end_calls_total',
      help: 'Calls to the back end by call and outcome: answered, timed-out, failed, unusable, not-offered, refused, not-made',
      labelNames: ['call', 'outcome'],
      registers,
    }),
  };
}

/** Metrics of how events leave this process. */
function fanOutMetrics(registers: Registry[]): Pick<RelayMetrics, 'watchWrites' | 'watchEncodings' | 'unsaid'> {
  return {
    watchWrites(counts) {
      const writes = new Counter({
        name: 'groupcast_relay_fan_out_writes_total',
        help: 'Writes to connections: direct to the socket, queued in the engine as one, or by the stock path; gone: the connection went first',
        labelNames: ['path'],
        registers,
        collect() {
          writes.reset();
          for (const [path, count] of Object.entries(counts())) writes.inc({ path }, count);
        },
      });
    },
    watchEncodings(counts) {
      const encodings = new Counter({
        name: 'groupcast_relay_fan_out_encodings_total',
        help: 'Events of groups that were encoded for members of this process, once for each dialect among them',
        labelNames: ['dialect'],
        registers,
        collect() {
          encodings.reset();
          for (const [dialect, count] of Object.entries(counts())) encodings.inc({ dialect }, count);
        },
      });
    },
    unsaid: new Counter({
      name: 'groupcast_relay_events_unsaid_total',
      help: 'Events that connections were not told, because their dialect has no name for them: of groups, and of users',
      labelNames: ['dialect'],
      registers,
    }),
  };
}

/** Metrics of the events that a relay sends itself. */
function canaryMetrics(registers: Registry[]): Pick<RelayMetrics, 'canarySeconds' | 'canaryFailures'> {
  return {
    canarySeconds: new Gauge({
      name: 'groupcast_relay_canary_seconds',
      help: 'Round trip of the last canary that came back; 0 before the first, and where RELAY_CANARY_SECONDS is 0',
      registers,
      // Of several workers the slowest counts.
      aggregator: 'max',
    }),
    canaryFailures: new Counter({
      name: 'groupcast_relay_canary_failures_total',
      help: 'Canaries that could not be sent, or were not back in time',
      registers,
    }),
  };
}

function countByCode(of: { name: string; help: string; registers: Registry[] }): Counter<'code'> {
  return new Counter({ ...of, labelNames: ['code'] });
}

/** One registry per relay, so that two relays in one process do not count for each other. */
export function createRelayMetrics(): RelayMetrics {
  let logStats: () => Readonly<Record<string, number>> | undefined = () => undefined;
  const ports = new Map<string, ConnectionLimit>();
  const registry = new Registry();
  const registers = [registry];
  collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: EVENT_LOOP_RESOLUTION_MS });
  const logSize = new Gauge({
    name: 'groupcast_relay_group_log',
    help: 'What the group log holds: groups, events, bytes (estimate)',
    labelNames: ['of'],
    registers,
    collect() {
      for (const [of, value] of Object.entries(logStats() ?? {})) logSize.set({ of }, value);
    },
  });
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
  return {
    registry,
    watchConnections: (port, limit) => void ports.set(port, limit),
    watchKeys(staleSeconds) {
      const stale = new Gauge({
        name: 'groupcast_relay_jwks_stale_seconds',
        help: 'Age of the keys of JWT_JWKS_URL while they cannot be read again; 0 while they can',
        aggregator: 'max',
        registers,
        collect() {
          stale.set(staleSeconds());
        },
      });
    },
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
    watchLog(stats) {
      logStats = stats;
    },
    watchThrottle({ waiting, lagMs }) {
      const waitingGauge = new Gauge({
        name: 'groupcast_relay_broadcasts_waiting',
        help: 'Broadcasts that wait because the fan-out is behind',
        registers,
        collect() {
          waitingGauge.set(waiting());
        },
      });
      const lagGauge = new Gauge({
        name: 'groupcast_relay_fan_out_lag_seconds',
        help: 'How long the oldest event that was not written yet to a connection has waited for its write',
        registers,
        // Of several workers the one that is furthest behind counts.
        aggregator: 'max',
        collect() {
          lagGauge.set(lagMs() / 1_000);
        },
      });
    },
    watchSendBacklog(backlog) {
      const gauge = new Gauge({
        name: 'groupcast_relay_send_backlog',
        help: 'Connections with more than MAX_BUFFERED_BYTES waiting for them, and the bytes, when they were last looked at',
        labelNames: ['of'],
        registers,
        collect() {
          for (const [of, value] of Object.entries(backlog())) gauge.set({ of }, value);
        },
      });
    },
    ...backEndMetrics(registers),
    ...fanOutMetrics(registers),
    ...canaryMetrics(registers),
    ...deliveryMetrics(registers),
    watchReadiness(report) {
      const parts = new Gauge({
        name: 'groupcast_relay_parts_failing',
        help: 'Parts that fail, each 1, and whether /readyz is unready for it or degraded; none while the relay is ready',
        labelNames: ['part', 'makes'],
        registers,
        aggregator: 'max',
        collect() {
          parts.reset();
          const { failing, degraded } = report();
          for (const part of failing) parts.set({ part, makes: 'unready' }, 1);
          for (const part of degraded) parts.set({ part, makes: 'degraded' }, 1);
        },
      });
    },
    connections: new Gauge({
      name: 'groupcast_relay_connections',
      help: 'Open Socket.IO connections by type',
      labelNames: ['type'],
      registers,
    }),
    refused: countByCode({
      name: 'groupcast_relay_connections_refused_total',
      help: 'Connections refused by code',
      registers,
    }),
    unauthenticatedCut: new Counter({
      name: 'groupcast_relay_unauthenticated_cut_total',
      help: 'Connections cut before they authenticated: deadline, polling-sessions, pending-bytes',
      labelNames: ['reason'],
      registers,
    }),
    internalRefused: countByCode({
      name: 'groupcast_relay_internal_requests_refused_total',
      help: 'Requests to the internal port refused for where they came from, by code',
      registers,
    }),
    publicApiRefused: countByCode({
      name: 'groupcast_relay_public_api_requests_refused_total',
      help: 'Requests to the broadcast API on the public port answered with an error, by code',
      registers,
    }),
    eventsRefused: countByCode({
      name: 'groupcast_relay_events_refused_total',
      help: 'Socket events and commands answered with an error, by code',
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
    transientEvents: new Counter({
      name: 'groupcast_relay_transient_events_total',
      help: 'Transient events by name and way: sent by this relay, received from others, refused, dropped on the way to others',
      labelNames: ['event', 'way'],
      registers,
    }),
    live: new Gauge({
      name: 'groupcast_relay_live',
      help: 'Relays that deliver to their members: 0 while this one cannot reach the others',
      registers,
    }),
    filled: new Counter({
      name: 'groupcast_relay_events_filled_total',
      help: 'Events read from the shared log because they had not come by themselves',
      registers,
    }),
    malformed: new Counter({
      name: 'groupcast_relay_malformed_messages_total',
      help: 'Messages between relays that were not understood',
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
