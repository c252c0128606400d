import type { GroupEvent, GroupHead, GroupSummary, JsonObject, Message, Sender } from '@groupcast/shared';
import { parsePosition } from '@groupcast/shared/positions';

// The client's own parsers. They accept the same as the schemas of @groupcast/shared, without bringing a schema library to
// every page; `test/parse.unit.test.ts` holds the two to each other.

const ID = /^[A-Za-z0-9_.:~-]{1,128}$/;
const USER_ID = /^[\x21-\x7e]{1,255}$/;
const RESERVED_IDS: readonly unknown[] = ['.', '..', '__proto__'];

export type Fields = Readonly<Record<string, unknown>>;

export function fieldsOf(value: unknown): Fields | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Fields) : undefined;
}

/** Whether a value counts something, from `min` on. */
export function isSeq(value: unknown, min: number): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= min;
}

function text(value: unknown, pattern: RegExp): string | undefined {
  const id = isSeq(value, 0) ? String(value) : value;
  return typeof id === 'string' && pattern.test(id) ? id : undefined;
}

/** An id as it is written everywhere: `1` and `"1"` are one id. */
export function parseId(value: unknown): string | undefined {
  return RESERVED_IDS.includes(value) ? undefined : text(value, ID);
}

export function parseUserId(value: unknown): string | undefined {
  return text(value, USER_ID);
}

/** Throws a `TypeError` where an application passes something else: its programmer can correct that. */
export function idOf(value: string | number): string {
  const id = parseId(value);
  if (id === undefined) throw new TypeError(`unable to use ${JSON.stringify(value)} as a group id`);
  return id;
}

/** A positioned event: as in `/events`, or on the socket with `name`. Ids inside are strings from here on. */
export function parseEvent(value: unknown, name?: string): GroupEvent | undefined {
  const fields = fieldsOf(value);
  const event = name ?? fields?.['event'];
  const id = parseId(fields?.['id']);
  const groupId = parseId(fields?.['groupId']);
  const position = parsePosition(fields);
  if (!fields || typeof event !== 'string' || !id || !groupId || !position || position.seq < 1) return undefined;
  const parsed: GroupEvent = { ...(fields as JsonObject), event, id, groupId, ...position };
  const messageId = parseId(fields['messageId']);
  if (messageId !== undefined) parsed['messageId'] = messageId;
  const senderId = parseUserId(fields['senderId']);
  if (senderId !== undefined) parsed['senderId'] = senderId;
  return parsed;
}

/** The sender of a message; one from a back end that knows no profiles, or from before there were any, has the id alone. */
function parseSender(value: unknown, userId: string): Sender {
  const { name, picture, custom } = fieldsOf(value) ?? {};
  return {
    userId,
    ...(typeof name === 'string' ? { name } : {}),
    ...(typeof picture === 'string' ? { picture } : {}),
    ...(fieldsOf(custom) ? { custom: custom as JsonObject } : {}),
  };
}

export function parseMessage(value: unknown): Message | undefined {
  const parsed = parseEvent(value, 'new-message');
  if (!parsed) return undefined;
  const { event: _, sender, kind, custom, traceparent, ...message } = parsed;
  const { senderId, content, createdAt } = message;
  if (typeof senderId !== 'string' || typeof content !== 'string' || typeof createdAt !== 'string') return undefined;
  return {
    ...(message as unknown as Message),
    sender: parseSender(sender, senderId),
    kind: typeof kind === 'string' ? kind : 'text',
    ...(fieldsOf(custom) ? { custom: custom as JsonObject } : {}),
    ...(typeof traceparent === 'string' ? { traceparent } : {}),
  };
}

/**
 * The message after a `message-updated`: every field that the publisher sends replaces the message's, and its position and its sender do
 * not change.
 */
export function parseEdited(message: Message, event: GroupEvent): Message | undefined {
  const { messageId: _, ...fields } = event;
  const { id, groupId, epoch, seq, senderId, sender } = message;
  return parseMessage({ ...message, ...fields, id, groupId, epoch, seq, senderId, sender });
}

export function parseHead(value: unknown): GroupHead | undefined {
  const fields = fieldsOf(value);
  const groupId = parseId(fields?.['groupId']);
  const position = parsePosition(fields);
  const skipId = parseId(fields?.['skipId']);
  return groupId && position ? { groupId, ...position, ...(skipId === undefined ? {} : { skipId }) } : undefined;
}

export function parseGroup(value: unknown): GroupSummary | undefined {
  const fields = fieldsOf(value);
  const id = parseId(fields?.['id']);
  const position = parsePosition(fields?.['position']);
  if (!fields || !id || !position) return undefined;
  const count = (field: string): number => (isSeq(fields[field], 0) ? fields[field] : 0);
  return {
    id,
    position,
    name: typeof fields['name'] === 'string' ? fields['name'] : null,
    kind: fields['kind'] === 'direct' ? 'direct' : 'group',
    createdAt: typeof fields['createdAt'] === 'string' ? fields['createdAt'] : '',
    memberCount: count('memberCount'),
    unreadCount: count('unreadCount'),
    readSeq: count('readSeq'),
    lastMessage: parseMessage(fields['lastMessage']) ?? null,
    ...(isSeq(fields['retentionDays'], 1) ? { retentionDays: fields['retentionDays'] } : {}),
    ...(fieldsOf(fields['custom']) ? { custom: fields['custom'] as JsonObject } : {}),
  };
}

/** The items of a list that can be read. */
export function parseList<T>(value: unknown, parse: (item: unknown) => T | undefined): T[] {
  if (!Array.isArray(value)) return [];
  return value.flatMap((item) => {
    const parsed = parse(item);
    return parsed === undefined ? [] : [parsed];
  });
}
