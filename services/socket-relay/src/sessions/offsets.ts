import { randomBytes } from 'node:crypto';

/** Longest offset or session id that a client may send, in characters. */
export const MAX_TEXT_LENGTH = 128;

/** Where the client is among the events that it was given again: in the group at this index, at this `seq`. */
export interface AmongMissed {
  index: number;
  seq: number;
}

/** The deliveries of this node that a client has read: up to `number`, and, where `among` is set, a part of those that it was given again then. */
export interface ReadOffset {
  number: number;
  among?: AmongMissed;
}

/**
 * The texts by which stock clients say what they have read: the last argument of an event, which `socket.io-client` sends back as `auth.offset`. A
 * text is of one process: numbers of another one mean nothing here.
 */
export interface Offsets {
  /** The start of the ids of sessions and of all offsets of this process. */
  readonly prefix: string;
  at(number: number): string;
  amongMissed(number: number, among: AmongMissed): string;
  /** Returns `undefined` for a text that this process has not made, or that says nothing. */
  read(text: string): ReadOffset | undefined;
}

const OFFSET = /^([0-9a-z]{1,11})(?:-([0-9a-z]{1,4})-([0-9a-z]{1,11}))?$/;
const ANY_OFFSET = /^[\w-]{7}\.[0-9a-z]{1,11}(?:-[0-9a-z]{1,4}-[0-9a-z]{1,11})?~?$/;
const RADIX = 36;

/** Makes of an offset one that says nothing, for an event that is told in part. */
export const ofPart = (offset: string): string => `${offset}~`;

/** Whether the text looks like an offset, of whatever process. */
export const isOffset = (text: string): boolean => ANY_OFFSET.test(text);

export function createOffsets(prefix = randomBytes(5).toString('base64url')): Offsets {
  const start = `${prefix}.`;
  const at = (number: number): string => start + number.toString(RADIX);
  return {
    prefix: start,
    at,
    amongMissed: (number, { index, seq }) => `${at(number)}-${index.toString(RADIX)}-${seq.toString(RADIX)}`,
    read(text) {
      if (!text.startsWith(start)) return undefined;
      const [, number = '', index, seq] = OFFSET.exec(text.slice(start.length)) ?? [];
      if (number === '') return undefined;
      const read = { number: Number.parseInt(number, RADIX) };
      if (index === undefined || seq === undefined) return read;
      return { ...read, among: { index: Number.parseInt(index, RADIX), seq: Number.parseInt(seq, RADIX) } };
    },
  };
}
