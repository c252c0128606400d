import { parseId } from './ids.ts';

/** Prefixes that other servers put before an id to name a room. */
const ROOM_PREFIX = /^(?:groups?|rooms?|conversations?|conv|chats?|channels?|threads?|topics?)[-_:.~](.+)$/i;

/** Answers `1` for `group-1`, `conversation:1` and their like; `undefined` for an id that does not look like the name of a room. */
export function idInRoomName(groupId: string): string | undefined {
  return parseId(ROOM_PREFIX.exec(groupId)?.[1]);
}

/** An id without what people spell in several ways: the name of a room around it, zeros in front of a number. */
export function plainIdOf(id: string): string {
  const bare = idInRoomName(id) ?? id;
  return /^\d+$/.test(bare) ? bare.replace(/^0+(?=\d)/, '') : bare;
}

/** Prefixes that people put before the id of a group. */
const KINDS = ['group', 'room', 'conversation', 'chat', 'channel'].flatMap((kind) => [
  `${kind}-`,
  `${kind}:`,
  `${kind}_`,
]);
/** Zeros that a number may have been filled up with. */
const ZEROS = ['0', '00'];

/** Returns the other spellings of a group's id that people use, the likeliest first. */
export function otherSpellingsOf(groupId: string): string[] {
  const plain = plainIdOf(groupId);
  const filled = /^\d+$/.test(plain) ? ZEROS.map((zeros) => `${zeros}${plain}`) : [];
  const bare = [...new Set([idInRoomName(groupId) ?? groupId, plain, ...filled])];
  const prefixed = [groupId, ...bare].flatMap((id) => KINDS.map((prefix) => `${prefix}${id}`));
  const spellings = new Set([...bare, groupId.toLowerCase(), groupId.toUpperCase(), ...prefixed]);
  return [...spellings].filter((id) => id !== groupId && parseId(id) !== undefined);
}

/** Names that people use for our fields, in lower case and without `_` and `-`. */
const OTHER_NAMES: Readonly<Record<string, readonly string[]>> = {
  groupId: ['group', 'room', 'roomid', 'conversation', 'conversationid', 'channel', 'channelid', 'chat', 'chatid'],
  message: ['msg', 'payload', 'data', 'body', 'content', 'text'],
  content: ['text', 'body', 'message', 'msg'],
  userIds: ['users', 'userid', 'user', 'members', 'memberids', 'ids'],
  event: ['type', 'name', 'eventname'],
  data: ['payload', 'message', 'body'],
  items: ['messages', 'broadcasts', 'batch', 'events'],
  token: ['jwt', 'accesstoken', 'authtoken'],
  code: ['reason'],
  name: ['title'],
};
/** Most keys that are looked at: an input may have any number. */
const MAX_KEYS = 50;
const MAX_SHOWN = 64;

const plain = (name: string): string => name.toLowerCase().replaceAll(/[_-]/g, '');

/** The key of `given` that may have been meant for the `missing` one. */
function otherNameOf(missing: string, given: object): string | undefined {
  const names = [plain(missing), ...(Object.hasOwn(OTHER_NAMES, missing) ? (OTHER_NAMES[missing] ?? []) : [])];
  return Object.keys(given)
    .slice(0, MAX_KEYS)
    .find((key) => key !== missing && names.includes(plain(key)));
}

/**
 * The message about a field of `input` that a schema refuses. Where the field is missing, it says so, and names a similar field that
 * came instead.
 */
export function explainIssue(
  issue: { path: readonly PropertyKey[]; code?: string | undefined; message?: string | undefined },
  input: unknown,
): string {
  const message = issue.message ?? 'is malformed';
  const last = issue.path.at(-1);
  let parent: unknown = input;
  for (const key of issue.path.slice(0, -1))
    parent = (parent as Record<PropertyKey, unknown> | null | undefined)?.[key];
  const isMissing =
    typeof last === 'string' &&
    typeof parent === 'object' &&
    parent !== null &&
    !Array.isArray(parent) &&
    (parent as Record<string, unknown>)[last] === undefined;
  if (!isMissing) return message;
  const other = otherNameOf(last, parent as object);
  const sent = other === undefined ? '' : `, and ${JSON.stringify(other.slice(0, MAX_SHOWN))} is not read here`;
  // The message of the schema's own rule says more than that a field is missing.
  const rule = issue.code === 'custom' ? `; ${message}` : '';
  return `is missing${sent}${rule}`;
}
