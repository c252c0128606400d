import { Counter, Gauge, type Registry } from 'prom-client';

/** Metrics of whether this relay can do its work: of the other relays, the back end, the keys, and the way from it to itself. */
export interface HealthMetrics {
  /** Reports the parts for which `/readyz` says that this process is unready, or degraded. */
  watchReadiness(report: () => { failing: readonly string[]; degraded: readonly string[] }): void;
  /** Reports how long the keys of the JWKS could not be read again. */
  watchKeys(staleSeconds: () => number): void;
  /** 1 while members are delivered to, 0 while this relay cannot reach the others. */
  live: Gauge;
  /** Events that this node read from the shared log because they had not come by themselves. */
  filled: Counter;
  /** Messages of other relays that were not understood. */
  malformed: Counter;
  /** How long the last canary that came back was on its way. */
  canarySeconds: Gauge;
  canaryFailures: Counter;
  /** Calls to the back end. */
  backEndCalls: Counter<'call' | 'outcome'>;
  /** Reports the state of each call's circuit. */
  watchBackEnd(states: () => Readonly<Record<string, 'closed' | 'half-open' | 'open'>>): void;
}

const CIRCUIT_VALUES = { closed: 0, 'half-open': 1, open: 2 } as const;

export function createHealthMetrics(registers: Registry[]): HealthMetrics {
  return {
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
