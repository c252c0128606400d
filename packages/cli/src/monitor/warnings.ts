import type { MonitorEvent, MonitorWarning } from '@groupcast/shared';

/** Warnings by their code. */
export type WarningCounts = ReadonlyMap<string, number>;

/** Warnings that are remembered, so that a snapshot after a reconnect does not tell them again. */
const MAX_KNOWN = 1_000;

/** Counts warnings, each once, also where several snapshots tell of it. */
export interface Warnings {
  /** Returns those that are new, in order. */
  takeNew(warnings: readonly MonitorWarning[]): MonitorWarning[];
  /** Returns how many came since the last call. */
  takeCounts(): WarningCounts;
}

/** Whether an event is one of those that a person has to know about. */
export function isWarning(event: MonitorEvent): boolean {
  const isUnheard = event.kind === 'broadcast' && event.connections === 0 && !event.duplicate;
  return event.kind === 'warning' || event.kind === 'refused' || isUnheard;
}

export function createWarnings(): Warnings {
  const known = new Set<string>();
  let counts = new Map<string, number>();

  return {
    takeNew(warnings) {
      const fresh = warnings.filter((warning) => !known.has(JSON.stringify(warning)));
      for (const warning of fresh) {
        known.add(JSON.stringify(warning));
        const [first] = known;
        if (known.size > MAX_KNOWN && first !== undefined) known.delete(first);
        counts.set(warning.code, (counts.get(warning.code) ?? 0) + 1);
      }
      return fresh.toSorted((a, b) => a.at - b.at);
    },
    takeCounts() {
      const taken = counts;
      counts = new Map();
      return taken;
    },
  };
}
