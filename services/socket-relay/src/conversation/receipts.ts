import { type Logger, warnOnceEvery } from '@groupcast/service-kit';
import {
  type CursorsAnswer,
  type CursorUpdates,
  groupRoom,
  type MemberCursors,
  type ReceiptCounts,
} from '@groupcast/shared';
import type { Sender } from '../fan-out/sender.ts';
import { tell } from '../sessions/tell.ts';
import type { Transient } from '../transient/transient.ts';
import type { Audience } from './audience.ts';
import type { ShowStatus } from './message-status.ts';
import type { StoredCursor } from './stored-cursors.ts';

/**
 * Shows the members of a group how far the others are, once the back end has stored it: the cursors that have moved, merged, at most once a
 * second and group. Where the back end says that a group has more than 100 members nobody is named, since everybody about everybody grows
 * with the square: the members that it names get numbers about their own newest message.
 */
export interface Receipts {
  /**
   * Shows what has been stored, as it has. `groups` is what the back end knows about them; without it, a group with more than 100 users here
   * is large.
   */
  stored: (updates: CursorUpdates['cursors'], groups: CursorsAnswer['groups']) => void;
  stop(): void;
}

/** Shortest time between two receipts of a group, in milliseconds. */
const INTERVAL_MS = 1_000;
/** Most members of a group that are named. */
const MAX_NAMED_MEMBERS = 100;
/** Most users in one receipt, named or with numbers: the rest follows a second later. */
const MAX_NAMED_AT_ONCE = 100;
/** Most users whose receipts wait in one group, and most groups that wait. The API answers all that is dropped. */
const MAX_WAITING_USERS = 1_000;
const MAX_WAITING_GROUPS = 10_000;

interface Waiting {
  users: Map<string, MemberCursors>;
  counts: Map<string, ReceiptCounts & { memberCount: number }>;
  /** When the last receipt of the group was sent, in milliseconds of the monotonic clock. */
  sentAt: number;
}

function take<Value>(from: Map<string, Value>, max: number): Record<string, Value> {
  const taken = [...from].slice(0, max);
  for (const [userId] of taken) from.delete(userId);
  return Object.fromEntries(taken);
}

export function createReceipts(
  deps: {
    transient: Transient;
    audience: Audience;
    sender: Sender;
    /** Whether this relay may show anything: until it may, receipts wait. */
    isTrusted: () => boolean;
    /** How many users of the group are connected here. */
    usersHere: (groupId: string) => number;
    /** Says the same of messages, where a dialect wants that. */
    showStatus: ShowStatus;
    log: Logger;
  },
  now: () => number = () => performance.now(),
): Receipts {
  const { transient, audience, sender, isTrusted, usersHere, showStatus, log } = deps;
  const waiting = new Map<string, Waiting>();
  const warn = warnOnceEvery(60_000);
  let timer: NodeJS.Timeout | undefined;

  function waitingIn(groupId: string): Waiting | undefined {
    const known = waiting.get(groupId);
    if (known) return known;
    if (waiting.size >= MAX_WAITING_GROUPS) {
      warn('groups', (suppressed) => log.warn({ suppressed }, 'receipts of too many groups wait; some are not shown'));
      return undefined;
    }
    const fresh: Waiting = { users: new Map(), counts: new Map(), sentAt: Number.NEGATIVE_INFINITY };
    waiting.set(groupId, fresh);
    return fresh;
  }

  function name({ groupId, userId, received, read }: StoredCursor): void {
    if (received === undefined && read === undefined) return;
    const group = waitingIn(groupId);
    const known = group?.users.get(userId);
    if (!group || (!known && group.users.size >= MAX_WAITING_USERS)) return;
    const merged: MemberCursors = { ...known };
    if (received !== undefined) merged.received = Math.max(received, known?.received ?? 0);
    if (read !== undefined) merged.read = Math.max(read, known?.read ?? 0);
    group.users.set(userId, merged);
  }

  function count(
    groupId: string,
    { userId, ...counts }: ReceiptCounts & { userId: string },
    memberCount: number,
  ): void {
    const group = waitingIn(groupId);
    if (!group || (!group.counts.has(userId) && group.counts.size >= MAX_WAITING_USERS)) return;
    group.counts.set(userId, { ...counts, memberCount });
  }

  function send(groupId: string, group: Waiting): void {
    group.sentAt = now();
    const users = take(group.users, MAX_NAMED_AT_ONCE);
    if (Object.keys(users).length > 0) transient.tell('receipt', { groupId, users });
    const counts = take(group.counts, MAX_NAMED_AT_ONCE);
    if (Object.keys(counts).length > 0) transient.tell('receipt-counts', { groupId, users: counts });
  }

  /** Sends what is due, and forgets groups of which nothing has been heard for a second. */
  function flush(): void {
    clearTimeout(timer);
    timer = undefined;
    for (const [groupId, group] of isTrusted() ? waiting : []) {
      if (now() - group.sentAt < INTERVAL_MS) continue;
      if (group.users.size + group.counts.size > 0) send(groupId, group);
      else waiting.delete(groupId);
    }
    if (waiting.size > 0) timer = setTimeout(flush, INTERVAL_MS / 4).unref();
  }

  transient.on('receipt', ({ groupId, users }) => {
    const members = audience.of(groupId).size;
    if (members > 0) {
      sender.send(groupRoom(groupId), { name: 'receipt', payload: { groupId, users } });
      showStatus(groupId, users);
    }
    return members;
  });
  transient.on('receipt-counts', ({ groupId, users }) => {
    let reached = 0;
    for (const [userId, { memberCount, ...counts }] of Object.entries(users)) {
      const among = memberCount === undefined ? {} : { memberCount };
      for (const socket of audience.ofUser(groupId, userId)) {
        tell(socket, 'receipt', { groupId, counts, ...among });
        reached += 1;
      }
    }
    return reached;
  });

  return {
    stored(updates, groups = {}) {
      const isLarge = new Map<string, boolean>();
      for (const update of updates) {
        const { groupId } = update;
        const members = groups[groupId]?.memberCount;
        const large = isLarge.get(groupId) ?? (members ?? usersHere(groupId)) > MAX_NAMED_MEMBERS;
        isLarge.set(groupId, large);
        if (!large) name(update);
      }
      for (const [groupId, { memberCount, counts = [] }] of Object.entries(groups)) {
        if (memberCount > MAX_NAMED_MEMBERS) for (const each of counts) count(groupId, each, memberCount);
      }
      flush();
    },
    stop() {
      clearTimeout(timer);
    },
  };
}
