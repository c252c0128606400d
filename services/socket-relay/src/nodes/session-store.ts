import type { Position } from '@groupcast/shared';
import type { GroupPlace } from '../sessions/offsets.ts';
import type { SessionCopy, SessionSource, StoredSession } from '../sessions/stored-session.ts';

/** The last delivery of a group on a node, and the last position that was delivered there. */
export interface LastDelivery {
  number: number;
  position: Position | null;
}

/**
 * The last deliveries of a node, as they outlive it: of every group that had one among those with numbers above `from` and up to `upTo`. Of earlier
 * ones they may say nothing, and of later ones they do not.
 */
export interface LastDeliveries {
  from: number;
  upTo: number;
  of: ReadonlyMap<string, LastDelivery>;
}

/** Keeps what another relay needs in order to go on with the sessions of this one, should this one die. */
export interface SessionStore {
  /** Keeps a copy of a session from now on; `undefined` if there are too many. It is written at the end of the turn, as each change is. */
  keep(sessionId: string, source: SessionSource): SessionCopy | undefined;
  /** This node has delivered an event. Costs nothing before the first copy is kept. */
  delivered(groupId: string, number: number, position: Position | null): void;
  /** The groups whose last deliveries are not kept yet, as far as it is known. */
  unwritten(): Iterable<GroupPlace>;
  /** Returns a session of another process, and its last deliveries in the groups of the session. Rejects while the store is away. */
  find(sessionId: string): Promise<{ session: StoredSession; last: LastDeliveries } | undefined>;
  /** Writes what has not been written. */
  stop(): Promise<void>;
}

/** Opens the store for a process whose offsets begin with `holder`. `lastNumber`: of its last delivery. */
export type OpenSessionStore = (holder: string, lastNumber: () => number) => SessionStore;
