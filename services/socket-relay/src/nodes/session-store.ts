import type { Position } from '@groupcast/shared';
import type { Unwritten } from '../sessions/offsets.ts';
import type { SessionCopy, SessionSource, StoredSession } from '../sessions/stored-session.ts';

/** The last delivery of a group on a node, and the last position that was delivered there. */
export interface LastDelivery {
  number: number;
  position: Position | null;
}

/**
 * The last deliveries of a node, as they outlive it: of every group that had one among those with numbers above `from` and up to `upTo`. Of earlier
 * ones they may say nothing, and of later ones they do not. `key`: of what its offsets have sealed.
 */
export interface LastDeliveries {
  from: number;
  upTo: number;
  key: string;
  of: ReadonlyMap<string, LastDelivery>;
}

/** The process that has a session. `kept`: what is known of a session of another one, unless it has ended. */
export interface FoundSession {
  holder: string;
  kept?: { session: StoredSession; last: LastDeliveries };
}

/** Keeps what another relay needs in order to go on with the sessions of this one, should this one die. */
export interface SessionStore {
  /**
   * Keeps a copy of a session from now on, unless another process has it than `previous`, which had it when it was looked for. Changes of one turn are
   * written together. Returns `undefined` if there are too many copies: then none of this session is left.
   */
  keep(sessionId: string, source: SessionSource, previous?: string): SessionCopy | undefined;
  /** This node has delivered an event. Costs nothing before the first copy is kept. */
  delivered(groupId: string, number: number, position: Position | null): void;
  /** The groups whose last deliveries are not kept yet, as far as it is known. */
  unwritten(): Unwritten;
  /** Rejects while the store is away. */
  find(sessionId: string): Promise<FoundSession | undefined>;
  /** Writes what has not been written. */
  stop(): Promise<void>;
}

/** Opens the store for a process with these offsets. `lastNumber`: of its last delivery. */
export type OpenSessionStore = (offsets: { prefix: string; key: string }, lastNumber: () => number) => SessionStore;
