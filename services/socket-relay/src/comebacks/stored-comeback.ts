import type { Position } from '@groupcast/shared';
import type { LastDeliveries } from '../nodes/session-store.ts';
import { epochTagOf, type OffsetPlaces, type ReadOffset, readOffset, tagOf, unseal } from '../sessions/offsets.ts';
import { readSoFar } from '../sessions/read-so-far.ts';
import type { StoredPlace, StoredSession } from '../sessions/stored-session.ts';
import type { LeftSession } from '../wire-format.ts';
import { type AskedSession, leftPageOf } from './left-sessions.ts';

/** Where a client stands in a group. `atHead`: only if nothing has come there since. */
interface Standing {
  position: Position | null;
  atHead?: boolean;
}

/** Epochs of groups, by their logs. */
type Epochs = ReadonlyMap<string, string>;

const NO_EPOCHS: Epochs = new Map();
const NO_PLACES: OffsetPlaces = { places: [], isComplete: false, upTo: 0 };

/** Finds where a client stands in a group that has read up to the delivery `read` of the node that is gone. Returns `undefined` if nobody knows. */
function standingIn(
  groupId: string,
  { since, noted, position }: StoredPlace,
  { read, said, last, epochs }: { read: number; said: OffsetPlaces; last: LastDeliveries; epochs: Epochs },
): Standing | undefined {
  // It has read nothing since it came into the group.
  if (read <= since) return noted === since ? { position } : undefined;
  const newest = last.of.get(groupId);
  const tag = tagOf(groupId, last.key);
  const place = said.places.find((each) => each.tag === tag);
  if (place) {
    const epoch = position?.epoch ?? newest?.position?.epoch ?? epochs.get(groupId);
    if (epoch === undefined || epochTagOf(epoch, last.key) !== place.epochTag || noted > read) return undefined;
    // The node may have delivered it before others came and went, and this client after them.
    return { position: { epoch, seq: Math.max(place.seq, position?.seq ?? 0) } };
  }
  if (newest && newest.number > read) return undefined;
  // The last deliveries before the node died are not written down, or Redis has lost them since.
  const isSaid = said.isComplete && said.upTo <= last.upTo;
  const atHead = read > last.upTo && !isSaid;
  if (newest?.position && newest.number > noted) return { position: newest.position, atHead };
  return noted >= last.from && noted <= read ? { position, atHead } : undefined;
}

/** Returns the offset if the process that has the session has made it, and what it says besides its number. */
function offsetIn(
  text: string | undefined,
  holder: string,
  { key }: LastDeliveries,
): { offset: ReadOffset | undefined; said: OffsetPlaces } {
  const offset = text === undefined ? undefined : readOffset(text);
  if (offset?.prefix !== holder) return { offset: undefined, said: NO_PLACES };
  return { offset, said: unseal(offset, key) ?? NO_PLACES };
}

/** Whether two of the groups have the same tag, so that an offset may mean either. */
function areConfused(groupIds: Iterable<string>, { places }: OffsetPlaces, key: string): boolean {
  const tags = Array.from(groupIds, (groupId) => tagOf(groupId, key));
  return places.some(({ tag }) => tags.indexOf(tag) !== tags.lastIndexOf(tag));
}

/** Finds the groups that an offset names, and whose epoch nothing says: they had their first event just before the node died. */
export function withoutEpoch(
  { holder, places }: StoredSession,
  last: LastDeliveries,
  { offset }: AskedSession,
): string[] {
  const tags = new Set(offsetIn(offset, holder, last).said.places.map(({ tag }) => tag));
  return [...places]
    .filter(([groupId, { position }]) => {
      return !position && !last.of.get(groupId)?.position && tags.has(tagOf(groupId, last.key));
    })
    .map(([groupId]) => groupId);
}

/** Finds what the page of a session had, and where its client stands, after the death of the node; `undefined` if that is not known exactly. */
export function leftSessionOf(
  { holder, page, comeback, places }: StoredSession,
  last: LastDeliveries,
  { userId, offset: text }: AskedSession,
  epochs = NO_EPOCHS,
): LeftSession | undefined {
  if (page.userId !== userId) return undefined;
  const { offset, said } = offsetIn(text, holder, last);
  const read = readSoFar({ cameWith: page.cameWith, comeback }, offset, text);
  if (!read || areConfused(places.keys(), said, last.key)) return undefined;
  const groups: LeftSession['groups'] = [];
  const atHead: string[] = [];
  for (const [groupId, place] of places) {
    const known = place.since > (comeback?.number ?? 0) ? undefined : read.positions.get(groupId);
    const standing: Standing | undefined =
      known === undefined ? standingIn(groupId, place, { read: read.number, said, last, epochs }) : { position: known };
    if (!standing) return undefined;
    groups.push([groupId, standing.position]);
    if (standing.atHead) atHead.push(groupId);
  }
  return { ...leftPageOf(page), groups, ...(atHead.length > 0 ? { atHead } : {}) };
}
