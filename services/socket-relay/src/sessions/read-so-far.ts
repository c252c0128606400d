import type { Position } from '@groupcast/shared';
import type { Comeback } from './comeback.ts';
import type { ReadOffset } from './offsets.ts';

/** How far a client has read: a number for all groups, and positions of groups of which that says nothing. */
export interface ReadSoFar {
  number: number;
  positions: ReadonlyMap<string, Position | null>;
}

/** A session without the offset of its client. `cameWith`: the offset with which it came. `proven`: a delivery that it has read. */
interface Known {
  cameWith?: string | undefined;
  comeback?: Comeback | undefined;
  proven?: number;
}

const NO_POSITIONS: ReadSoFar['positions'] = new Map();

/** Where a client stands that has read a part of what it was given again. A group that was read in several rounds is there several times. */
function positionsIn({ missed }: Comeback, { index: at, seq }: { index: number; seq: number }): ReadSoFar['positions'] {
  const positions = new Map<string, Position | null>();
  for (const [index, { groupId, before, after }] of missed.entries()) {
    if (index <= at) positions.set(groupId, index === at ? { ...after, seq } : after);
    else if (!positions.has(groupId)) positions.set(groupId, before);
  }
  return positions;
}

function readSinceComeback(
  comeback: Comeback,
  { read, isUnread, proven }: { read: ReadOffset | undefined; isUnread: boolean; proven: number },
): ReadSoFar | undefined {
  const { number, state } = comeback;
  if (state === 'open') return undefined;
  if (read && !read.among && read.number > number)
    return { number: Math.max(read.number, proven), positions: NO_POSITIONS };
  // Live events went by between the rounds: what else was read is not one number.
  if (state === 'in rounds') return undefined;
  if (isUnread) return { number, positions: positionsIn(comeback, { index: -1, seq: 0 }) };
  return read?.among && read.number === number ? { number, positions: positionsIn(comeback, read.among) } : undefined;
}

/**
 * How far the client of a session has read, by the text of its offset and by what the process that has the session reads in it; `undefined` if that
 * is not known exactly.
 */
export function readSoFar(
  { cameWith, comeback, proven = 0 }: Known,
  read: ReadOffset | undefined,
  text: string | undefined,
): ReadSoFar | undefined {
  const isUnread = text === cameWith;
  if (comeback) return readSinceComeback(comeback, { read, isUnread, proven });
  if (!isUnread && (!read || read.among)) return undefined;
  // Its groups may have been silent for long, while others were not.
  return { number: Math.max(isUnread ? 0 : (read?.number ?? 0), proven), positions: NO_POSITIONS };
}
