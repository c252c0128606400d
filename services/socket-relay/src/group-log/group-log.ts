import type { GroupEvent, JsonObject, Position } from '@groupcast/shared';

/** An event that is to be kept: the publisher's fields, without a position yet. */
export interface LogInput {
  groupId: string;
  id: string;
  event: string;
  message: JsonObject;
  /** Set by a publisher that is the authority of the group's positions (the API). Without it the relay assigns a position. */
  position?: Position;
  /** Recovery leaves the event out for this user. */
  exceptUserId?: string;
  /** Live delivery leaves this connection out, on whichever node it is. */
  exceptSocketId?: string;
  /** The log keeps no event of the group but this one, and the group itself no longer than its events. */
  isBrief?: true;
}

/**
 * - `appended`: kept, exactly one after the head before it.
 * - `duplicate`: known already. `position` is where it stands, `head` is how far the log has got.
 * - `unpositioned`: not kept, because the group's positions are the publisher's and this event brought none.
 * - `conflict`: another event has its position, or its epoch was replaced.
 * - `gap`: it is further than one after the head. The publisher goes back to `head`.
 *
 * `nodes`: how many relays listen to the group, if the log is shared.
 */
export type AppendOutcome =
  | { outcome: 'appended'; position: Position; nodes?: number }
  | { outcome: 'duplicate'; position: Position; head: Position }
  | { outcome: 'unpositioned'; nodes?: number }
  | { outcome: 'conflict'; head: Position }
  | { outcome: 'gap'; head: Position };

export interface LogPage {
  /** The position of the last event; `null` if the log does not know the group. */
  head: Position | null;
  /** The log holds every event after this `seq`, up to the head. */
  floor: number;
  /**
   * Where the log stood when it began: events up to here were filled in, later ones are news. It may lie below the floor. It is the floor
   * if an earlier version of the relay did not note it.
   */
  newsAfter: number;
  events: GroupEvent[];
  /** The excepted users of the events that leave one out, by `seq`. */
  exceptUserIds: ReadonlyMap<number, string>;
  /** Up to where `events` goes. It is above the last of them if the newest events were not for this user. */
  lastSeq: number;
  /** Whether there are events after `lastSeq`. */
  more: boolean;
}

/** Returns the event of a deleted message without its content: the envelope, the sender and the times. */
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
 * The recent events of each group, contiguous by construction: it accepts `head + 1` and nothing else. An empty log accepts any first
 * `seq`. Appends to one group are kept in the order of the calls.
 */
export interface GroupLog {
  append(input: LogInput): Promise<AppendOutcome>;
  head(groupId: string): Promise<Position | null>;
  /**
   * Returns events with a `seq` above `afterSeq`, oldest first, at most `limit`. If `afterSeq` lies below the floor, the page starts at the
   * floor: compare `floor` before you call the answer complete. Events that except `forUserId` are left out.
   */
  read(groupId: string, afterSeq: number, limit: number, forUserId?: string): Promise<LogPage>;
  /**
   * Puts older events below those that the log holds, or begins a log with them: `events` end at `position`, without holes. Events that do
   * not join on to the log are ignored, so a fill that comes late does no harm.
   */
  backfill(groupId: string, position: Position, events: readonly GroupEvent[]): Promise<void>;
  /** The size of the log in this process; `undefined` if it holds nothing here. */
  stats(): { groups: number; events: number; bytes: number } | undefined;
  close(): Promise<void>;
}
