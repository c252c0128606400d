import { Counter, Gauge, Histogram, type Registry } from 'prom-client';

/** Metrics of how events leave this process, and of slow consumers. */
export interface FanOutMetrics {
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
  slowConsumers: Counter<'reason'>;
  slowConsumerBacklog: Histogram;
}

export function createFanOutMetrics(registers: Registry[]): FanOutMetrics {
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
