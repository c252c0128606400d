import type { GroupEvent, ReceiptCounts } from '@groupcast/shared';
import { isAfter } from '@groupcast/shared/positions';
import { parseCounts, parseReaches, type Reach, type ReceiptsPage } from '../api/answers.ts';
import { fieldsOf, isSeq, parseList, parseUserId } from '../base/parse.ts';

/** Most users of whom a cursor is kept while it is not known who the members are: twice the number that events name. */
const MAX_USERS = 200;
/** Most members of a group in which the API and the relay name them. In larger ones both say numbers. */
const MAX_NAMED_MEMBERS = 100;

/**
 * The cursors of one group's members, from pages and from events in any order and any number of times. Cursors only rise, and so does
 * what follows from them (`reach`), whoever comes or goes.
 */
export interface GroupReceipts {
  /** The members but for oneself; `null` in a larger group, and before there was a page. */
  users: () => ReadonlyMap<string, Reach> | null;
  readonly counts: ReceiptCounts | null;
  readonly memberCount: number | undefined;
  /** Every other member has received and has read one's own messages up to here. */
  readonly reach: Reach;
  /** The members have changed, and only another page says how far everybody is now. */
  readonly isOutdated: boolean;
  /** A page is asked for. */
  asked: () => void;
  /** `passed` are the events that have come since the page was asked for. */
  takePage: (page: ReceiptsPage, passed: readonly GroupEvent[]) => void;
  /** The payload of `receipt`; answers whether it is news. */
  takeReceipt: (payload: unknown) => boolean;
  /** Answers whether the event has changed the members or their cursors. */
  takeEvent: (event: GroupEvent) => boolean;
}

export function createGroupReceipts(me: () => string | undefined, reach: Reach): GroupReceipts {
  const cursors = new Map<string, Reach>();
  /** Users of whom a cursor was heard since the page was asked for. Everything before is in the page. */
  const heard = new Set<string>();
  let members: Set<string> | null = null;
  let counts: ReceiptCounts | null = null;
  /** Numbers were heard since the page was asked for, and are newer than it. */
  let areCountsHeard = false;
  let memberCount: number | undefined;
  let isOutdated = false;
  /** Number of members who were removed since the last page. The numbers may count them. */
  let removed = 0;

  function raise(userId: string, { received, read }: Reach): boolean {
    if (userId === me()) return false;
    const known = cursors.get(userId);
    if (!known && !members?.has(userId) && cursors.size >= MAX_USERS) return false;
    const next = {
      received: Math.max(known?.received ?? 0, received, read),
      read: Math.max(known?.read ?? 0, read),
    };
    if (known && next.received === known.received && next.read === known.read) return false;
    cursors.set(userId, next);
    heard.add(userId);
    return true;
  }

  /** `among`: the number of members, oneself included, at the moment of the numbers. Somebody they count may be gone since. */
  function takeCounts(next: ReceiptCounts, among: number | undefined): boolean {
    const { seq, received, read } = counts ?? NO_COUNTS;
    if (next.seq < seq) return false;
    const hasRisen = rise(reachOf(next, among ?? 0));
    const isSame = next.seq === seq;
    const merged = {
      seq: next.seq,
      received: Math.max(next.received, next.read, isSame ? received : 0),
      read: Math.max(next.read, isSame ? read : 0),
    };
    if (isSame && merged.received === received && merged.read === read) return hasRisen;
    counts = merged;
    return true;
  }

  function changeMembers({ event, userIds }: GroupEvent): boolean {
    const named = parseList(userIds, parseUserId);
    if (event !== 'member-added' && event !== 'member-removed') return false;
    const isAdded = event === 'member-added';
    const wasLarge = isLarge(memberCount);
    if (memberCount !== undefined) memberCount = Math.max(0, memberCount + (isAdded ? named.length : -named.length));
    // In a larger group members are a number, which is known already, unless names are told from now on, or are no longer.
    isOutdated ||= members !== null || isLarge(memberCount) !== wasLarge;
    if (!isAdded) removed += named.length;
    for (const userId of named) {
      if (isAdded) members?.add(userId);
      else {
        members?.delete(userId);
        cursors.delete(userId);
        heard.delete(userId);
      }
    }
    return true;
  }

  /** Sending a message moves the sender's own cursors. */
  function raiseSender({ event, senderId, seq }: GroupEvent): boolean {
    if (event !== 'new-message' || typeof senderId !== 'string' || !members?.has(senderId)) return false;
    return raise(senderId, { received: seq, read: seq });
  }

  function others(): Map<string, Reach> | null {
    if (!members) return null;
    const own = me();
    const found = new Map<string, Reach>();
    for (const userId of members) if (userId !== own) found.set(userId, cursors.get(userId) ?? NOTHING);
    return found;
  }

  /** How far everybody is, by the cursors of the members. */
  function reachNow(): Reach {
    const all = Array.from(others()?.values() ?? []);
    const least = (which: keyof Reach): number => (all.length === 0 ? 0 : Math.min(...all.map((one) => one[which])));
    return { received: least('received'), read: least('read') };
  }

  /** Whether everybody may be further, by numbers that count members who are gone, or do not. */
  function isUnsure(): boolean {
    if (members || !counts || removed === 0) return false;
    const most = reachOf(counts, memberCount ?? 0);
    return most.read > reach.read || most.received > reach.received;
  }

  /** Answers whether it has. */
  function rise(now = reachNow()): boolean {
    const { read, received } = reach;
    reach.read = Math.max(read, now.read);
    reach.received = Math.max(received, now.received, reach.read);
    return reach.read > read || reach.received > received;
  }

  return {
    users: others,
    get counts() {
      return counts;
    },
    get memberCount() {
      return memberCount;
    },
    reach,
    get isOutdated() {
      return isOutdated || isUnsure();
    },
    asked() {
      heard.clear();
      areCountsHeard = false;
    },
    takePage(page, passed) {
      isOutdated = false;
      members = page.users && new Set(page.users.keys());
      memberCount = page.memberCount;
      for (const userId of cursors.keys()) if (!heard.has(userId)) cursors.delete(userId);
      for (const [userId, cursor] of page.users ?? []) raise(userId, cursor);
      // Numbers only rise, but for those that count somebody who is gone.
      const isOfLater = areCountsHeard && (counts?.seq ?? 0) > (page.counts?.seq ?? 0);
      if (page.users || (removed > 0 && !isOfLater)) counts = null;
      removed = 0;
      if (page.counts) takeCounts(page.counts, page.memberCount);
      for (const event of passed) {
        if (isAfter(event, page.position)) changeMembers(event);
        raiseSender(event);
      }
      // Cursors are kept of members alone; those of a page are there already.
      for (const userId of cursors.keys()) if (!members?.has(userId)) cursors.delete(userId);
      rise();
    },
    takeReceipt(payload) {
      const fields = fieldsOf(payload);
      let isNews = false;
      const told = parseCounts(fields?.['counts']);
      const { memberCount: among } = fields ?? {};
      areCountsHeard ||= told !== undefined;
      if (told) isNews = takeCounts(told, isSeq(among, 1) ? among : memberCount && memberCount + removed);
      for (const [userId, cursor] of parseReaches(fields?.['users'])) {
        // A member who is added again begins anew, by the page that is read then.
        if (members && !members.has(userId)) continue;
        isNews = raise(userId, cursor) || isNews;
      }
      if (isNews) rise();
      return isNews;
    },
    takeEvent(event) {
      const isNews = raiseSender(event) || changeMembers(event);
      if (isNews) rise();
      return isNews;
    },
  };
}

/** Returns how far everybody is, from the number of members and the numbers of those who have received and read one message. */
function reachOf({ seq, received, read }: ReceiptCounts, members: number): Reach {
  const others = members - 1;
  if (others < 1) return NOTHING;
  return { received: Math.max(received, read) >= others ? seq : 0, read: read >= others ? seq : 0 };
}

const isLarge = (memberCount: number | undefined): boolean => (memberCount ?? 0) > MAX_NAMED_MEMBERS;
const NOTHING: Reach = { received: 0, read: 0 };
const NO_COUNTS: ReceiptCounts = { seq: 0, received: 0, read: 0 };
