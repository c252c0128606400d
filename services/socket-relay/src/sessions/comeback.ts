import type { Position, RecoveryResult } from '@groupcast/shared';
import type { LeftSession } from '../wire-format.ts';
import type { Admission } from './in-group.ts';

/** A group of events that a connection was given again when it came back, and where it stood in the group before and after them. */
export interface Missed {
  groupId: string;
  before: Position | null;
  after: Position;
}

/** How the connection of a stock client has come back to the session of an earlier one. */
export interface Comeback {
  /** The last delivery before it was live in all of its groups. */
  number: number;
  missed: readonly Missed[];
  /** `open`: some of what it had missed is still to come. `in rounds`: live events went by between two parts of it. */
  state: 'open' | 'at once' | 'in rounds';
  /** Connections of the same page before this one. */
  socketIds: readonly string[];
}

/** A session that can be gone on with exactly: everything that was missed in its groups can be had. */
export interface PreparedComeback {
  sessionId: string;
  found: LeftSession;
  /** The process that had it. */
  holder: string;
  /** Groups of the session that neither the token nor the back end has named, and why the user may be in them. */
  admissions: ReadonlyMap<string, Admission>;
  removalVersion: number;
  /** As that of a `PreparedRecovery`. */
  commit(socketId: string, mayEnter: (groupId: string) => boolean): Map<string, RecoveryResult>;
}
