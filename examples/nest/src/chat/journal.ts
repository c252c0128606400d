import { closeSync, mkdirSync, openSync, readFileSync, truncateSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';

// The database of this example: a file with a line for each change, read when the process starts. A line is written by one call of the
// system or not at all, so it is what a transaction is in your database: put the message and its place in the group into one.

export interface Message {
  id: string;
  groupId: string;
  /** The place in the group: 1, 2, 3 …, given with the transaction that saves the message. */
  seq: number;
  senderId: string;
  content: string;
  createdAt: string;
  clientMessageId?: string;
}

export type Change =
  | { kind: 'group'; id: string; name: string; epoch: string; userIds: string[] }
  | { kind: 'message'; message: Message }
  /** The relay has acknowledged everything up to `seq`. */
  | { kind: 'sent'; groupId: string; seq: number }
  /** The group is counted anew for the relay. */
  | { kind: 'epoch'; groupId: string; epoch: string };

export interface Journal {
  /** What was there when the journal was opened. */
  readonly changes: readonly Change[];
  /** Returns once a crash of this process cannot undo the change. (One of the machine can: that takes `fsync`.) */
  append(change: Change): void;
  close(): void;
}

export const JOURNAL = Symbol('journal');

/** Opens the file, or makes it. Only one process may have it open, which nothing here checks. */
export function openJournal(file: string): Journal {
  mkdirSync(dirname(file), { recursive: true });
  const descriptor = openSync(file, 'a');
  const text = readFileSync(file, 'utf8');
  // A process that was killed may have left half a line, which nobody was told of.
  const whole = text.slice(0, text.lastIndexOf('\n') + 1);
  truncateSync(file, Buffer.byteLength(whole));
  return {
    changes: whole
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as Change),
    append(change) {
      const line = Buffer.from(`${JSON.stringify(change)}\n`);
      if (writeSync(descriptor, line) !== line.length) throw new Error(`unable to save; ${file} takes no more`);
    },
    close: () => closeSync(descriptor),
  };
}
