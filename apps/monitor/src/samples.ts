import type { MonitorNode, MonitorSample } from '@groupcast/shared';

/** Time that the charts show, in milliseconds. */
export const SHOWN_MS = 15 * 60_000;

/** All nodes in one interval: `at` is in seconds, as the charts have it. */
export interface Total {
  at: number;
  connections: number;
  broadcasts: number;
  deliveries: number;
  lagP50: number | null;
  lagP99: number | null;
}

/** Keeps the samples of every node, and adds up those of the same interval. */
export interface Samples {
  add(nodes: readonly MonitorNode[]): void;
  totals(): Total[];
}

function worst(one: number | null, other: number | null): number | null {
  return one === null || other === null ? (one ?? other) : Math.max(one, other);
}

export function createSamples(sampleMs: number): Samples {
  /** Samples by interval, then by node. */
  const slots = new Map<number, Map<string, MonitorSample>>();

  return {
    add(nodes) {
      for (const { node, samples } of nodes) {
        for (const sample of samples) {
          const slot = Math.round(sample.at / sampleMs);
          const known = slots.get(slot) ?? new Map<string, MonitorSample>();
          known.set(node, sample);
          slots.set(slot, known);
        }
      }
      const newest = Math.max(...slots.keys());
      for (const slot of slots.keys()) if ((newest - slot) * sampleMs > SHOWN_MS) slots.delete(slot);
    },
    totals() {
      return [...slots]
        .toSorted(([a], [b]) => a - b)
        .map(([slot, samples]) => {
          const total: Total = {
            at: (slot * sampleMs) / 1_000,
            connections: 0,
            broadcasts: 0,
            deliveries: 0,
            lagP50: null,
            lagP99: null,
          };
          for (const sample of samples.values()) {
            total.connections += sample.connections;
            total.broadcasts += sample.broadcasts;
            total.deliveries += sample.deliveries;
            total.lagP50 = worst(total.lagP50, sample.lagP50);
            total.lagP99 = worst(total.lagP99, sample.lagP99);
          }
          return total;
        });
    },
  };
}
