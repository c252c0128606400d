import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import type { Position } from '@groupcast/shared';

/** Longest offset or session id that a client may send, in characters. */
export const MAX_TEXT_LENGTH = 128;

/** Where the client is among the events that it was given again: in the group at this index, at this `seq`. */
export interface AmongMissed {
  index: number;
  seq: number;
}

/**
 * The deliveries of a node that a client has read: up to `number`, and, where `among` is set, a part of those that it was given again then. `sealed`
 * has more for who has the key, see `unseal`.
 */
export interface ReadOffset {
  number: number;
  among?: AmongMissed;
  sealed?: string;
}

/** Where the node stands in a group. */
export type GroupPlace = readonly [groupId: string, position: Position | null];

/** Groups of which it is not written down yet where the node stands. `upTo`: everything up to this delivery is. */
export interface Unwritten {
  upTo: number;
  groups: Iterable<GroupPlace>;
}

/**
 * Groups whose last deliveries were not written down when an offset was made, and where the node stood in them: all of them, if it `isComplete`, since
 * the delivery `upTo`. `tag` stands for a group, and `epochTag` for its epoch.
 */
export interface OffsetPlaces {
  upTo: number;
  places: readonly { tag: number; epochTag: number; seq: number }[];
  isComplete: boolean;
}

/**
 * The texts by which stock clients say what they have read: the last argument of an event, which `socket.io-client` sends back as `auth.offset`. A
 * text is of one process: its numbers mean nothing to another one, except for one that has what this one had written down.
 */
export interface Offsets {
  /** The start of the ids of sessions and of all offsets of this process. */
  readonly prefix: string;
  /** The key of what is sealed. */
  readonly key: string;
  at(number: number, event?: GroupPlace): string;
  amongMissed(number: number, among: AmongMissed): string;
  /** Returns `undefined` for a text that this process has not made, or that says nothing. */
  read(text: string): ReadOffset | undefined;
  /** From now on offsets say themselves where the node stands in groups of which that is not written down yet. */
  sayUnwritten(unwritten: () => Unwritten): void;
}

const PREFIX = /^[\w-]{7}\./;
const OFFSET = /^([0-9a-z]{1,11})(?:-([0-9a-z]{1,4})-([0-9a-z]{1,11})|\.([\w-]{10,100}))?$/;
const RADIX = 36;
/** Most groups of which an offset says where the node stands. */
const MAX_PLACES = 5;
/** A byte that says whether the places are all, `upTo`, and for each place a tag, the tag of its epoch, and its `seq`. */
const [COMPLETE, NUMBER_BYTES, TAG_BYTES, EPOCH_BYTES, SEQ_BYTES] = [1, 6, 4, 2, 6];
const HEAD_BYTES = 1 + NUMBER_BYTES;
const PLACE_BYTES = TAG_BYTES + EPOCH_BYTES + SEQ_BYTES;
const CIPHER = 'aes-128-ctr';
const KEY_BYTES = 16;

/** Makes of an offset one that says nothing, for an event that is told in part. */
export const ofPart = (offset: string): string => `${offset}~`;

/** Whether the text looks like an offset, of whatever process. */
export function isOffset(text: string): boolean {
  return readOffset(text.replace(/~$/, '')) !== undefined;
}

/** FNV-1a, 32 bits, of the key and a text. */
function hashOf(key: string, text: string): number {
  let hash = 0x811c9dc5;
  for (const part of [key, text]) {
    for (let index = 0; index < part.length; index += 1) hash = Math.imul(hash ^ part.charCodeAt(index), 0x01000193);
  }
  return hash >>> 0;
}

/** Returns a number that stands for a group. Two groups may have the same. */
export const tagOf = (groupId: string, key: string): number => hashOf(key, groupId);
export const epochTagOf = (epoch: string, key: string): number =>
  hashOf(key, epoch) >>> (8 * (TAG_BYTES - EPOCH_BYTES));

/** Each number is sealed once: what is sealed with it is the same for all who hear the event. */
function counterOf(number: number): Buffer {
  const counter = Buffer.alloc(KEY_BYTES);
  counter.writeUIntBE(number, 0, NUMBER_BYTES);
  return counter;
}
const keyOf = (key: string): Buffer => Buffer.from(key, 'base64url');
/** Returns the start of a session's id, which is that of the offsets of the process that gave it; an empty text where it has none. */
export const prefixOf = (text: string): string => PREFIX.exec(text)?.[0] ?? '';
const numberIn = (text: string): number => Number.parseInt(text, RADIX);

/** Reads an offset of any process: its prefix, and what it says. */
export function readOffset(text: string): (ReadOffset & { prefix: string }) | undefined {
  const [prefix] = PREFIX.exec(text) ?? [];
  if (prefix === undefined) return undefined;
  const [, number = '', index, seq, sealed] = OFFSET.exec(text.slice(prefix.length)) ?? [];
  if (number === '') return undefined;
  const read = { prefix, number: numberIn(number) };
  if (index !== undefined && seq !== undefined)
    return { ...read, among: { index: numberIn(index), seq: numberIn(seq) } };
  return sealed === undefined ? read : { ...read, sealed };
}

/** Reads what an offset says besides its number, with the key of its process. */
export function unseal({ number, sealed }: ReadOffset, key: string): OffsetPlaces | undefined {
  if (sealed === undefined || number >= 2 ** (8 * NUMBER_BYTES)) return undefined;
  const bytes = createDecipheriv(CIPHER, keyOf(key), counterOf(number)).update(Buffer.from(sealed, 'base64url'));
  if (bytes.length < HEAD_BYTES || (bytes.length - HEAD_BYTES) % PLACE_BYTES !== 0) return undefined;
  const places: { tag: number; epochTag: number; seq: number }[] = [];
  for (let at = HEAD_BYTES; at < bytes.length; at += PLACE_BYTES) {
    places.push({
      tag: bytes.readUIntBE(at, TAG_BYTES),
      epochTag: bytes.readUIntBE(at + TAG_BYTES, EPOCH_BYTES),
      seq: bytes.readUIntBE(at + TAG_BYTES + EPOCH_BYTES, SEQ_BYTES),
    });
  }
  return { places, isComplete: bytes[0] === COMPLETE, upTo: bytes.readUIntBE(1, NUMBER_BYTES) };
}

export function createOffsets(
  prefix = randomBytes(5).toString('base64url'),
  key = randomBytes(KEY_BYTES).toString('base64url'),
): Offsets {
  const start = `${prefix}.`;
  const at = (number: number): string => start + number.toString(RADIX);
  let unwritten: (() => Unwritten) | undefined;

  function seal(
    number: number,
    {
      places,
      isComplete,
      upTo,
    }: { places: readonly (readonly [string, Position])[]; isComplete: boolean; upTo: number },
  ): string {
    const bytes = Buffer.alloc(HEAD_BYTES + places.length * PLACE_BYTES);
    bytes[0] = isComplete ? COMPLETE : 0;
    bytes.writeUIntBE(upTo, 1, NUMBER_BYTES);
    for (const [index, [groupId, { epoch, seq }]] of places.entries()) {
      const from = HEAD_BYTES + index * PLACE_BYTES;
      bytes.writeUIntBE(tagOf(groupId, key), from, TAG_BYTES);
      bytes.writeUIntBE(epochTagOf(epoch, key), from + TAG_BYTES, EPOCH_BYTES);
      bytes.writeUIntBE(seq, from + TAG_BYTES + EPOCH_BYTES, SEQ_BYTES);
    }
    // Members of one group may not know who talks in others.
    return createCipheriv(CIPHER, keyOf(key), counterOf(number)).update(bytes).toString('base64url');
  }

  /** Says where the node stands in the group of an event, and in others where nobody else knows that. */
  function sayPlaces(number: number, [groupId, position]: GroupPlace, { upTo, groups }: Unwritten): string {
    const places: (readonly [string, Position])[] = position ? [[groupId, position]] : [];
    let isComplete = position !== null;
    for (const [otherId, other] of groups) {
      if (otherId === groupId) continue;
      // Of this one nobody can say it, or there are too many.
      if (!other || places.length >= MAX_PLACES) {
        isComplete = false;
        break;
      }
      places.push([otherId, other]);
    }
    return seal(number, { places, isComplete, upTo });
  }

  return {
    prefix: start,
    key,
    at(number, event) {
      return event && unwritten ? `${at(number)}.${sayPlaces(number, event, unwritten())}` : at(number);
    },
    amongMissed: (number, { index, seq }) => `${at(number)}-${index.toString(RADIX)}-${seq.toString(RADIX)}`,
    read: (text) => (text.startsWith(start) ? readOffset(text) : undefined),
    sayUnwritten: (groups) => void (unwritten = groups),
  };
}
