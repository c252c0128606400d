import type { Logger } from '@groupcast/service-kit';
import type { MemberChange } from '@groupcast/shared';
import { brokerUnavailable } from './broker-errors.ts';

/** A change, and the second (Unix, by the clock of the store) at which it was stored. */
export interface StoredChange {
  change: MemberChange;
  second: number;
}

/**
 * The changes of members and revocations, in one order for all relays. A relay that starts reads the changes that are still remembered, and
 * follows from there; a relay that was away goes on where it was.
 */
export interface ChangeLog {
  /** Stores a change. It is carried out as it comes back: see `reached`. */
  append(change: MemberChange): Promise<string>;
  /** Resolves with the result of the change, once this node has carried it out. Rejects if that takes too long. */
  reached(id: string): Promise<{ connections: number }>;
  /** Resolves once this node has carried out every change that is stored at this moment. Rejects if that takes too long. */
  caughtUp(): Promise<void>;
  stop(): Promise<void>;
}

export interface ChangeLogOptions {
  /** Is called before the first change: since when (Unix seconds) the log knows every change. */
  onBirth: (second: number) => void;
  /** Is called with a change from before this node started, which is only to be remembered. */
  remember: (stored: StoredChange) => void;
  /** Is called with a new change, which is to be remembered and carried out. Returns how many connections it was about. */
  carryOut: (stored: StoredChange) => Promise<number>;
  log: Logger;
}

/** Results that are kept for later questions. The oldest are forgotten. */
const MAX_OUTCOMES = 50_000;
const REACH_TIMEOUT_MS = 2_000;

/** The result of each change on this node. */
export interface Outcomes {
  settle(id: string, connections: number): void;
  /** Resolves once the change is carried out. Rejects if that takes too long. */
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
