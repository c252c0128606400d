import type { Logger } from '@groupcast/service-kit';
import type { MemberChange } from '@groupcast/shared';
import { brokerUnavailable } from './broker-errors.ts';

/** A change with the second (Unix, the clock of what they share) at which it was stored. */
export interface StoredChange {
  change: MemberChange;
  second: number;
}

/**
 * The changes of members and revocations, in one order for all relays. A relay that starts reads what is still remembered, and
 * follows from there; one that was away goes on where it was.
 */
export interface ChangeLog {
  /** Stores a change. It is carried out as it comes back: see `reached`. */
  append(change: MemberChange): Promise<string>;
  /** Resolves with what carrying it out brought, once this node has come to it. Rejects when that takes too long. */
  reached(id: string): Promise<{ connections: number }>;
  /** Resolves once this node has carried out everything that is stored at this moment. Rejects when that takes too long. */
  caughtUp(): Promise<void>;
  stop(): Promise<void>;
}

export interface ChangeLogOptions {
  /** Told before the first change: since when (Unix seconds) the log knows every change. */
  onBirth: (second: number) => void;
  /** A change from before this node started: to be remembered. */
  remember: (stored: StoredChange) => void;
  /** A new change: to be remembered and carried out. Answers how many connections it was about. */
  carryOut: (stored: StoredChange) => Promise<number>;
  log: Logger;
}

/** What the newest changes brought, for those who ask; the oldest are forgotten. */
const MAX_OUTCOMES = 50_000;
const REACH_TIMEOUT_MS = 2_000;

/** What carrying out each change brought, on this node. */
export interface Outcomes {
  settle(id: string, connections: number): void;
  /** Resolves once the change is carried out. Rejects when that takes too long. */
  reached(id: string): Promise<{ connections: number }>;
}

export function createOutcomes(): Outcomes {
  const outcomes = new Map<string, number>();
  const waiting = new Map<string, Set<(connections: number) => void>>();

  return {
    settle(id, connections) {
      outcomes.set(id, connections);
      const [oldest] = outcomes.keys();
      if (outcomes.size > MAX_OUTCOMES && oldest !== undefined) outcomes.delete(oldest);
      for (const tell of waiting.get(id) ?? []) tell(connections);
    },
    async reached(id) {
      const known = outcomes.get(id);
      if (known !== undefined) return { connections: known };
      const those = waiting.get(id) ?? new Set();
      waiting.set(id, those);
      let tell: (connections: number) => void = () => undefined;
      let timer: NodeJS.Timeout | undefined;
      try {
        return await new Promise<{ connections: number }>((resolve, reject) => {
          tell = (connections) => resolve({ connections });
          those.add(tell);
          timer = setTimeout(
            () => reject(brokerUnavailable('carry out a change of members in time', undefined)),
            REACH_TIMEOUT_MS,
          );
        });
      } finally {
        clearTimeout(timer);
        those.delete(tell);
        if (those.size === 0) waiting.delete(id);
      }
    },
  };
}
