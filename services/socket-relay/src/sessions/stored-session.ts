import type { Position } from '@groupcast/shared';
import type { Comeback } from './comeback.ts';

/** The page of a stock client: all of its session but the groups. */
export interface StoredPage {
  userId: string;
  dialect: string;
  /** Groups that its token names, and that it is not in any more. */
  unwanted: readonly string[];
  opened: readonly string[];
  viewing?: string;
  /** Its connections, this one last. */
  socketIds: readonly string[];
  cameWith?: string | undefined;
}

/** A connection's place in a group: live since this delivery. The node stood at `position` in the group after the delivery `noted`. */
export interface StoredPlace {
  since: number;
  noted: number;
  position: Position | null;
}

/** A session as it outlives the process that has it. `holder`: the prefix of the offsets of that process. */
export interface StoredSession {
  holder: string;
  page: StoredPage;
  comeback?: Comeback | undefined;
  places: ReadonlyMap<string, StoredPlace>;
}

/** The session of a live connection, of which a copy is kept. */
export interface SessionSource {
  page(): StoredPage;
  /** How it came back: while that is not done nobody can go on from there. */
  comeback(): Comeback | undefined;
  /** Whether the page says something about the group: its token names it. */
  isOnPage(groupId: string): boolean;
  /** How many groups it has. */
  size(): number;
  /** The groups in which it is live. */
  groupIds(): Iterable<string>;
  /** Returns `undefined` for a group in which it is not live. */
  place(groupId: string): StoredPlace | undefined;
}

/** The copy of one session. It is told what has changed, and reads it from the source when it is written. */
export interface SessionCopy {
  /** The connection has gone live in the group, or has left it. */
  moved(groupId: string): void;
  /** The page has changed. */
  changed(): void;
  /** All of it has changed: the connection has come back to the session. */
  renewed(): void;
  /** Sends now what has not left: call it before the client is told of a change. */
  write(): void;
  /** The connection is going, and still in its rooms. Its client may come back to the session. */
  gone(): void;
  /** The session is over, or another connection has it from now on. */
  end(): void;
}
