import { ABSENT_STATES, type AbsentState } from '@groupcast/shared';
import { Counter, Histogram, type Registry } from 'prom-client';

type Hop = 'written' | 'proven';

/** The hops whose time the relay measures: `written` since the event came to this relay, `proven` since the client was asked, behind what was written. */
export interface HopLag {
  observe(labels: { hop: Hop }, seconds: number): void;
}

/** Bounds of hop lags, in seconds: from what is usual to what an alert is for. */
const LAG_BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];

/** Metrics of how far messages come, and of those who are not there for them. */
export interface DeliveryMetrics {
  /** Seconds from one hop to the next, on this process's own clock. */
  hopLag: HopLag;
  /** Returns the buckets of `hopLag` for a hop: `count` observations took `le` seconds at most. */
  lagBuckets(hop: Hop): Promise<{ le: number; count: number }[]>;
  /** Groups that connections came back to with a position, by what they were answered. */
  resumes: Counter<'outcome'>;
  /** Users that publishers expected, and who were not there. */
  absent: { inc(labels: { why: AbsentState }, value?: number): void };
}

export function createDeliveryMetrics(registers: Registry[]): DeliveryMetrics {
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
  };
}
