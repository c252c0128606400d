import { randomBytes } from 'node:crypto';
import type { Position } from '@groupcast/shared';

/** Longest offset or session id that a client may send, in characters. */
export const MAX_TEXT_LENGTH = 128;

/** Where the client is among the events that it was given again: in the group at this index, at this `seq`. */
export interface AmongMissed {
  index: number;
  seq: number;
}

/** Where a node stood in a group when it made an offset. `tag` stands for the group, `epochTag` for its epoch. */
export interface OffsetPlace {
  tag: string;
  epochTag: string;
  seq: number;
}

/**
 * The deliveries of a node that a client has read: up to `number`, and, where `among` is set, a part of those that it was given again then. `places`
 * has the groups whose last deliveries nobody else knew then, all of them if it `isComplete`.
 */
export interface ReadOffset {
  number: number;
  among?: AmongMissed;
  places: readonly OffsetPlace[];
  isComplete: boolean;
}

/** Where the node stands in a group. */
export type GroupPlace = readonly [groupId: string, position: Position | null];

/**
 * The texts by which stock clients say what they have read: the last argument of an event, which `socket.io-client` sends back as `auth.offset`. A
 * text is of one process: its numbers mean nothing to another one, except for one that has what this one had written down.
 */
export interface Offsets {
  /** The start of the ids of sessions and of all offsets of this process. */
  readonly prefix: string;
  at(number: number, event?: GroupPlace): string;
  amongMissed(number: number, among: AmongMissed): string;
  /** Returns `undefined` for a text that this process has not made, or that says nothing. */
  read(text: string): ReadOffset | undefined;
  /** From now on offsets say themselves where the node stands in groups of which that is not written down yet. */
  sayUnwritten(groups: () => Iterable<GroupPlace>): void;
}

const PREFIX = /^[\w-]{7}\./;
const OFFSET =
  /^([0-9a-z]{1,11})(?:-([0-9a-z]{1,4})-([0-9a-z]{1,11}))?((?:_[0-9a-z]{1,7}_[0-9a-z]{1,3}_[0-9a-z]{1,11})*)(!?)$/;
const PLACE = /_([0-9a-z]+)_([0-9a-z]+)_([0-9a-z]+)/g;
const RADIX = 36;
const EPOCH_TAGS = RADIX ** 3;
/** Most groups of which an offset says where the node stands. */
const MAX_PLACES = 5;

/** Makes of an offset one that says nothing, for an event that is told in part. */
export const ofPart = (offset: string): string => `${offset}~`;

/** Whether the text looks like an offset, of whatever process. */
export function isOffset(text: string): boolean {
  return readOffset(text.replace(/~$/, '')) !== undefined;
}

/** FNV-1a, 32 bits. */
function hashOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < text.length; index += 1) hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193);
  return hash >>> 0;
}

/** Returns a short text that stands for a group. Two groups may have the same. */
export const tagOf = (groupId: string): string => hashOf(groupId).toString(RADIX);
export const epochTagOf = (epoch: string): string => (hashOf(epoch) % EPOCH_TAGS).toString(RADIX);

const numberIn = (text: string): number => Number.parseInt(text, RADIX);

/** Reads an offset of any process: its prefix, and what it says. */
export function readOffset(text: string): (ReadOffset & { prefix: string }) | undefined {
  const [prefix] = PREFIX.exec(text) ?? [];
  if (prefix === undefined) return undefined;
  const [, number = '', index, seqAmong, listed = '', end] = OFFSET.exec(text.slice(prefix.length)) ?? [];
  if (number === '') return undefined;
  const places = Array.from(listed.matchAll(PLACE), ([, tag = '', epochTag = '', seq = '']) => {
    return { tag, epochTag, seq: numberIn(seq) };
  });
  const read = { prefix, number: numberIn(number), places, isComplete: places.length > 0 && end === '' };
  if (index === undefined || seqAmong === undefined) return read;
  return { ...read, among: { index: numberIn(index), seq: numberIn(seqAmong) } };
}

export function createOffsets(prefix = randomBytes(5).toString('base64url')): Offsets {
  const start = `${prefix}.`;
  const at = (number: number): string => start + number.toString(RADIX);
  let unwritten: (() => Iterable<GroupPlace>) | undefined;

  function sayPlace(groupId: string, { epoch, seq }: Position): string {
    return `_${tagOf(groupId)}_${epochTagOf(epoch)}_${seq.toString(RADIX)}`;
  }

  /** Says where the node stands in the group of an event, and in others where nobody else knows that. */
  function sayPlaces([groupId, position]: GroupPlace, others: Iterable<GroupPlace>): string {
    let text = position ? sayPlace(groupId, position) : '';
    let count = 1;
    for (const [otherId, other] of others) {
      if (otherId === groupId) continue;
      count += 1;
      // Of this one nobody can say it, or there are too many.
      if (!other || count > MAX_PLACES) return `${text}!`;
      text += sayPlace(otherId, other);
    }
    return position ? text : `${text}!`;
  }

  return {
    prefix: start,
    at: (number, event) => (event && unwritten ? at(number) + sayPlaces(event, unwritten()) : at(number)),
    amongMissed: (number, { index, seq }) => `${at(number)}-${index.toString(RADIX)}-${seq.toString(RADIX)}`,
    read: (text) => (text.startsWith(start) ? readOffset(text) : undefined),
    sayUnwritten: (groups) => void (unwritten = groups),
  };
}
