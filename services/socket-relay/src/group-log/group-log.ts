import type { GroupEvent, JsonObject, Position } from '@groupcast/shared';

/** What the gateway wants kept: the publisher's fields, not yet in their place. */
export interface LogInput {
  groupId: string;
  id: string;
  event: string;
  message: JsonObject;
  /** From a publisher that is the authority of the group's positions (the API); without it the relay assigns one. */
  position?: Position;
  /** Recovery leaves the event out for this user. */
  exceptUserId?: string;
  /** Live, the event is not for this connection, on whichever node it is. */
  exceptSocketId?: string;
}

/**
 * - `appended`: in its place, exactly one after the head before it.
 * - `duplicate`: known already; `position` is where, `head` is how far the log has got.
 * - `unpositioned`: not kept, because the group's positions are the publisher's and this event brought none.
 * - `conflict`: its place is taken by another event, or its epoch was replaced.
 * - `gap`: it is further than one after the head; the publisher goes back to `head`.
 *
 * `nodes`: how many relays listen to the group, where the log is shared.
 */
export type AppendOutcome =
  | { outcome: 'appended'; position: Position; nodes?: number }
  | { outcome: 'duplicate'; position: Position; head: Position }
  | { outcome: 'unpositioned'; nodes?: number }
  | { outcome: 'conflict'; head: Position }
  | { outcome: 'gap'; head: Position };

export interface LogPage {
  /** Where the log stands; `null` when it does not know the group. */
  head: Position | null;
  /** The log holds every event after this `seq`, up to the head. */
  floor: number;
  /**
   * Where the log stood when it began: what it was filled with is up to here, what came since is news. It may lie below the
   * floor, and is the floor where an earlier version of the relay did not note it.
   */
  newsAfter: number;
  events: GroupEvent[];
  /** Of the events that leave a user out, by `seq`, which. */
  exceptUserIds: ReadonlyMap<number, string>;
  /** Up to where `events` goes; above the last of them where the newest were not for this user. */
  lastSeq: number;
  /** There are events after `lastSeq`. */
  more: boolean;
}

/** What is left of an event about a message that was deleted: its envelope, who wrote it and when. */
export function withoutWords(event: GroupEvent): GroupEvent {
  const { id, groupId, epoch, seq, event: name } = event;
  const kept: GroupEvent = { event: name, id, groupId, epoch, seq, content: '', deleted: true };
  for (const field of ['messageId', 'senderId', 'createdAt', 'clientMessageId', 'updatedAt']) {
    const value = event[field];
    if (value !== undefined) kept[field] = value;
  }
  return kept;
}

/**
 * The recent events of each group, contiguous by construction: it accepts `head + 1` and nothing else. An empty log
 * accepts any first `seq`. Appends to one group are kept in the order they were called.
 */
export interface GroupLog {
  append(input: LogInput): Promise<AppendOutcome>;
  head(groupId: string): Promise<Position | null>;
  /**
   * Events with a `seq` above `afterSeq`, oldest first, at most `limit`. Where `afterSeq` lies below the floor the page
   * starts at the floor: compare `floor` before calling the answer complete. Events that left `forUserId` out are left out.
   */
  read(groupId: string, afterSeq: number, limit: number, forUserId?: string): Promise<LogPage>;
  /**
   * Puts older events below what the log holds, or begins a log with them: `events` end at `position`, without holes. What
   * does not join on to the log is ignored, so a fill that comes late does no harm.
   */
  backfill(groupId: string, position: Position, events: readonly GroupEvent[]): Promise<void>;
  /** What it holds in this process; `undefined` where that is nothing. */
  stats(): { groups: number; events: number; bytes: number } | undefined;
  close(): Promise<void>;
}
