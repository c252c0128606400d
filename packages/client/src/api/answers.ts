import type {
  Group,
  GroupMember,
  JsonObject,
  Message,
  OwnUser,
  Position,
  ReceiptCounts,
  User,
} from '@groupcast/shared';
import { parsePosition } from '@groupcast/shared/positions';
import { type Fields, fieldsOf, isSeq, parseGroup, parseList, parseMessage, parseUserId } from '../base/parse.ts';
import { ClientError } from '../errors.ts';

export interface MembersPage {
  /** By the time they joined. */
  members: GroupMember[];
  /** Members of the group, of all pages together. */
  memberCount: number;
  /** Where the group stood when the page was read: later additions and removals are not in it. */
  position: Position;
  /** Where the next page begins; the last one has none. */
  nextCursor?: string | undefined;
}

/** How far one member is, or how far all the others are, as `seq`. */
export interface Reach {
  received: number;
  read: number;
}

/** How far the members of a group are: named in groups of up to 100, and counted for one's own newest message above. */
export interface ReceiptsPage {
  memberCount: number;
  /** Where the group stood when the page was read: later additions and removals are not in it. */
  position: Position;
  /** `null` in a group of more than 100 members. */
  users: ReadonlyMap<string, Reach> | null;
  /** `null` in smaller groups, and where there is no own message. */
  counts: ReceiptCounts | null;
}

/** The error of an answer that is not what the API promises. */
export function unreadable(what: string): ClientError {
  return new ClientError('INTERNAL', `unable to read the ${what} of the API`, { retryable: true });
}

export function messageOf(answer: Fields): Message {
  const message = parseMessage(answer['message']);
  if (message) return message;
  throw unreadable('message');
}

export function groupOf(answer: Fields): Group {
  const group = fieldsOf(answer['group']);
  const summary = parseGroup(group);
  if (!group || !summary) throw unreadable('group');
  const { unreadCount: _, readSeq: __, lastMessage: ___, ...fields } = summary;
  const members = parseList(group['members'], parseMember);
  // An API in which members have no pages answers all of them, and no number.
  return { ...fields, members, memberCount: isSeq(group['memberCount'], 0) ? summary.memberCount : members.length };
}

export function membersOf(answer: Fields): MembersPage {
  const { members, memberCount, nextCursor } = answer;
  const position = parsePosition(answer['position']);
  if (!Array.isArray(members) || !isSeq(memberCount, 0) || !position) throw unreadable('members');
  return {
    members: parseList(members, parseMember),
    memberCount,
    position,
    ...(typeof nextCursor === 'string' ? { nextCursor } : {}),
  };
}

export function receiptsOf(answer: Fields): ReceiptsPage {
  const { memberCount, users, counts } = answer;
  const position = parsePosition(answer['position']);
  if (!isSeq(memberCount, 0) || !position) throw unreadable('receipts');
  return {
    memberCount,
    position,
    users: fieldsOf(users) ? parseReaches(users) : null,
    counts: parseCounts(counts) ?? null,
  };
}

/** How far users are, by user id, as `receipt` and the API say it. */
export function parseReaches(value: unknown): Map<string, Reach> {
  const users = new Map<string, Reach>();
  for (const [key, cursor] of Object.entries(fieldsOf(value) ?? {})) {
    const userId = parseUserId(key);
    const { received, read } = fieldsOf(cursor) ?? {};
    if (userId === undefined) continue;
    users.set(userId, { received: isSeq(received, 0) ? received : 0, read: isSeq(read, 0) ? read : 0 });
  }
  return users;
}

export function parseCounts(value: unknown): ReceiptCounts | undefined {
  const { seq, received, read } = fieldsOf(value) ?? {};
  if (!isSeq(seq, 0)) return undefined;
  return { seq, received: isSeq(received, 0) ? received : 0, read: isSeq(read, 0) ? read : 0 };
}

function parseMember(value: unknown): GroupMember | undefined {
  const { userId: given, role, name } = fieldsOf(value) ?? {};
  const userId = parseUserId(given);
  if (userId === undefined) return undefined;
  const member: GroupMember = { userId, role: role === 'owner' ? 'owner' : 'member' };
  return typeof name === 'string' ? { ...member, name } : member;
}

export function ownUserOf({ user: given }: Fields): OwnUser {
  const user = parseUser(given);
  if (!user) throw unreadable('user');
  return { ...user, hidesPresence: fieldsOf(given)?.['hidesPresence'] === true };
}

export function parseUser(value: unknown): User | undefined {
  const { id: given, name, picture, custom, lastSeenAt } = fieldsOf(value) ?? {};
  const id = parseUserId(given);
  if (id === undefined) return undefined;
  return {
    id,
    ...(typeof name === 'string' ? { name } : {}),
    ...(typeof picture === 'string' ? { picture } : {}),
    ...(fieldsOf(custom) ? { custom: custom as JsonObject } : {}),
    ...(typeof lastSeenAt === 'string' ? { lastSeenAt } : {}),
  };
}

/** A server that helps calls to find a way through the network, in the shape of an `RTCIceServer`. */
export interface IceServer {
  urls: string | string[];
  username?: string;
  credential?: string;
}

export function parseIceServer(value: unknown): IceServer | undefined {
  const { urls, username, credential } = fieldsOf(value) ?? {};
  const list = parseList(urls, (url) => (typeof url === 'string' ? url : undefined));
  const known = typeof urls === 'string' ? urls : list;
  if (known.length === 0) return undefined;
  return {
    urls: known,
    ...(typeof username === 'string' ? { username } : {}),
    ...(typeof credential === 'string' ? { credential } : {}),
  };
}
