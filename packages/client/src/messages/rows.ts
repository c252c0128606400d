import type { Changes } from './changes.ts';
import type { SentMessage } from './message-list.ts';

export interface RowsDeps {
  me: () => string | undefined;
  /** All other members have received and have read one's own messages up to here. */
  reach: () => { received: number; read: number };
  changes: Pick<Changes, 'shownAs' | 'version'>;
}

/** Saved messages as they are shown: with the status of one's own, and with own edits and deletions that are on their way. */
export interface Rows {
  /** The same array for the same messages until something about them has changed. A row that has not changed is the same object. */
  of: (messages: readonly SentMessage[]) => readonly SentMessage[];
  /** Whether there is an own message that not everybody has read. */
  hasUnreadOwn: (messages: readonly SentMessage[]) => boolean;
}

export function createRows({ me, reach, changes }: RowsDeps): Rows {
  /** The last row that was shown for a message. */
  const shown = new WeakMap<SentMessage, SentMessage>();
  let last: { key: string; messages: readonly SentMessage[]; rows: readonly SentMessage[] } | undefined;

  function rowOf(message: SentMessage, own: string | undefined, { received, read }: ReturnType<typeof reach>) {
    const changed = changes.shownAs(message);
    if (!changed) return [];
    const { seq, senderId } = message;
    const status = senderId !== own || seq > received ? 'sent' : seq > read ? 'delivered' : 'read';
    const row = changed.status === status ? changed : { ...changed, status };
    if (row === message) return [message];
    const before = shown.get(message);
    const isSame =
      before?.status === status &&
      before.content === row.content &&
      before.custom === row.custom &&
      before.updatedAt === row.updatedAt;
    if (isSame) return [before];
    shown.set(message, row as SentMessage);
    return [row as SentMessage];
  }

  return {
    of(messages) {
      const own = me();
      const now = reach();
      const key = `${now.received} ${now.read} ${changes.version} ${own}`;
      if (last?.messages === messages && last.key === key) return last.rows;
      const rows = messages.flatMap((message) => rowOf(message, own, now));
      const before = last?.rows;
      const isPlain = rows.length === messages.length && rows.every((row, index) => row === messages[index]);
      const isSame = before?.length === rows.length && rows.every((row, index) => row === before[index]);
      last = { key, messages, rows: isSame ? before : isPlain ? messages : rows };
      return last.rows;
    },
    hasUnreadOwn(messages) {
      const own = me();
      const { read } = reach();
      return messages.some(({ senderId, seq }) => senderId === own && seq > read);
    },
  };
}
