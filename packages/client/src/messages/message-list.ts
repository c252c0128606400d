import type { GroupEvent, Message, Position } from '@groupcast/shared';
import { isAfter } from '@groupcast/shared/positions';
import { fieldsOf, parseEdited, parseId, parseMessage } from '../base/parse.ts';

/**
 * A message that is saved. `status` is that of an own message: `delivered` and `read` when all other members have received and have read
 * it; others' messages are `sent`. `key` is the one it had while it was being sent, if this client sent it; else
 * its id.
 */
export interface SentMessage extends Message {
  status: 'sent' | 'delivered' | 'read';
  key: string;
}

interface Entry {
  message: SentMessage;
  /** The `seq` of the event or page that the message is from. */
  asOf: number;
}

/**
 * A stretch of a group's messages up to the newest, by `seq`. News that come twice, or after newer ones, change nothing: a
 * message never goes back to an older text, and a deleted message does not return.
 */
export interface MessageList {
  /** The same array until something has changed. */
  readonly messages: readonly SentMessage[];
  /** The position at which the newest page was read; `undefined` before there is one. */
  readonly asOf: Position | undefined;
  /** Starts over from the newest page. */
  replace: (page: readonly Message[], position: Position) => void;
  addEarlier: (page: readonly Message[], position: Position) => void;
  apply: (events: readonly GroupEvent[]) => void;
  /** Forgets everything. */
  clear: () => void;
  /** Keeps the newest `count`; answers whether any were let go. */
  trim: (count: number) => boolean;
}

export function createMessageList(keyOf: (message: Message) => string): MessageList {
  let entries = new Map<string, Entry>();
  let deleted = new Set<string>();
  let asOf: Position | undefined;
  let sorted: readonly SentMessage[] = [];
  /** Messages behind all others, which is the common case, need no sorting. */
  let appended: SentMessage[] = [];
  let changed = false;

  function put(message: Message, at: number): void {
    if (deleted.has(message.id)) return;
    const last = appended.at(-1) ?? sorted.at(-1);
    const isNewest = !entries.has(message.id) && (!last || message.seq > last.seq);
    const row: SentMessage = { ...message, status: 'sent', key: keyOf(message) };
    entries.set(message.id, { message: row, asOf: at });
    if (isNewest && !changed) appended.push(row);
    else changed = true;
  }

  function edit(event: GroupEvent): void {
    const entry = entries.get(messageIdOf(event));
    if (!entry || event.seq <= entry.asOf || event['deleted'] === true) return;
    const edited = parseEdited(entry.message, event);
    if (!edited) return;
    const { status, key } = entry.message;
    entries.set(edited.id, { message: { ...edited, status, key }, asOf: event.seq });
    changed = true;
  }

  function applyOne(event: GroupEvent): void {
    // Where the event is of another epoch, the list is about to be read again.
    if (asOf && !isAfter(event, asOf)) return;
    if (event.event === 'message-updated') edit(event);
    else if (event.event === 'message-deleted') {
      const messageId = messageIdOf(event);
      deleted.add(messageId);
      if (entries.delete(messageId)) changed = true;
    } else if (event.event === 'new-message' && !entries.has(event.id) && event['deleted'] !== true) {
      const message = parseMessage(event);
      if (message) put(message, event.seq);
    }
  }

  function messages(): readonly SentMessage[] {
    if (changed) sorted = [...entries.values()].map(({ message }) => message).toSorted((a, b) => a.seq - b.seq);
    else if (appended.length > 0) sorted = [...sorted, ...appended];
    changed = false;
    appended = [];
    return sorted;
  }

  return {
    get messages() {
      return messages();
    },
    get asOf() {
      return asOf;
    },
    replace(page, position) {
      // Rows that look the same stay the same objects.
      const before = entries;
      entries = new Map();
      deleted = new Set();
      asOf = position;
      changed = true;
      for (const message of page) {
        put(message, position.seq);
        const old = before.get(message.id);
        const entry = entries.get(message.id);
        if (old && entry && JSON.stringify(old.message) === JSON.stringify(entry.message)) entry.message = old.message;
      }
    },
    addEarlier(page, position) {
      const rest = messages();
      const before = page.filter(({ id }) => !entries.has(id) && !deleted.has(id));
      for (const message of before) put(message, position.seq);
      if (before.length === 0) return;
      const rows = before.flatMap(({ id }) => entries.get(id)?.message ?? []);
      const inOrder = [...rows, ...rest.slice(0, 1)];
      if (inOrder.some(({ seq }, index) => index > 0 && seq <= (inOrder[index - 1]?.seq ?? 0))) return;
      // A page that is in order and wholly older goes in front as it is: nothing behind it is looked at.
      sorted = [...rows, ...rest];
      appended = [];
      changed = false;
    },
    apply(events) {
      for (const event of events) applyOne(event);
    },
    clear() {
      entries = new Map();
      deleted = new Set();
      asOf = undefined;
      changed = true;
    },
    trim(count) {
      const all = messages();
      const surplus = all.slice(0, Math.max(0, all.length - count));
      for (const { id } of surplus) entries.delete(id);
      changed ||= surplus.length > 0;
      return surplus.length > 0;
    },
  };
}

function messageIdOf(event: GroupEvent): string {
  return parseId(event['messageId']) ?? '';
}

/** The `new-message` event that says the same as an answer of the API. */
export function asEvent(message: Message): GroupEvent {
  return { ...(fieldsOf(message) as GroupEvent), event: 'new-message' };
}
