import type { Position } from '@groupcast/shared';
import { seededRandom } from '@groupcast/testing';
import { describe, expect, test } from 'vitest';
import { leftSessionOf, withoutEpoch } from '../src/comebacks/stored-comeback.ts';
import type { LastDelivery } from '../src/nodes/session-store.ts';
import { createOffsets } from '../src/sessions/offsets.ts';
import type { StoredPage, StoredPlace } from '../src/sessions/stored-session.ts';

const PAGE: StoredPage = { userId: 'alice', dialect: 'group-array', unwanted: [], opened: [], socketIds: ['s'] };

/** A node that writes down now and then what it has delivered, and one client of it. */
function createNode(below: (most: number) => number) {
  const offsets = createOffsets('of-node', 'a-key-of-this-node-AAA');
  const heads = new Map<string, Position>();
  let number = 0;
  let dirty = new Map<string, LastDelivery>();
  let stored: { from: number; upTo: number; of: ReadonlyMap<string, LastDelivery> } | undefined;
  let storedBefore: typeof stored;
  let upTo = 0;
  const places = new Map<string, StoredPlace>();
  /** The events that were sent to the client. */
  const sent: { groupId: string; position: Position; offset: string }[] = [];
  const joinedAt = new Map<string, { index: number; position: Position | null }>();
  offsets.sayUnwritten(() => ({
    upTo,
    groups: [...dirty].map(([groupId, { position }]) => [groupId, position] as const),
  }));

  return {
    heads,
    deliver(groupId: string) {
      const before = heads.get(groupId);
      const isNewEpoch = before !== undefined && below(60) === 0;
      const epoch = isNewEpoch ? `${before.epoch}x` : (before?.epoch ?? '1-a');
      const position = { epoch, seq: isNewEpoch ? 1 + below(3) : (before?.seq ?? 0) + 1 };
      heads.set(groupId, position);
      // Without a member here it goes by.
      if (!joinedAt.has(groupId) && below(2) === 0) return;
      number += 1;
      if (joinedAt.has(groupId)) sent.push({ groupId, position, offset: offsets.at(number, [groupId, position]) });
      dirty.set(groupId, { number, position });
    },
    join(groupId: string) {
      if (places.has(groupId)) return;
      const position = heads.get(groupId) ?? null;
      places.set(groupId, { since: number, noted: number, position });
      joinedAt.set(groupId, { index: sent.length, position });
    },
    leave(groupId: string) {
      places.delete(groupId);
      joinedAt.delete(groupId);
    },
    /** The copy is written again, since the store had lost it. */
    note(groupId: string) {
      const place = places.get(groupId);
      if (place) places.set(groupId, { ...place, noted: number, position: heads.get(groupId) ?? null });
    },
    write() {
      storedBefore = stored;
      const goesOn = stored?.upTo === upTo ? stored : { from: upTo, of: new Map<string, LastDelivery>() };
      stored = { from: goesOn.from, upTo: number, of: new Map([...goesOn.of, ...dirty]) };
      dirty = new Map();
      upTo = number;
    },
    /** Another server takes over, which has not got the last write. */
    lose() {
      stored = storedBefore;
    },
    evict() {
      stored = undefined;
    },
    /** The node dies; its client has read the first `read` of the events that it was sent. */
    find(read: number) {
      const truth = new Map<string, Position | null>();
      for (const [groupId, { index, position }] of joinedAt) {
        const own = sent.slice(index, Math.max(index, read)).filter((event) => event.groupId === groupId);
        truth.set(groupId, own.at(-1)?.position ?? position);
      }
      const last = stored && { ...stored, key: offsets.key };
      const offset = read === 0 ? undefined : sent[read - 1]?.offset;
      const session = { holder: offsets.prefix, page: PAGE, places };
      const asked = { userId: 'alice', sessionId: 'x', offset };
      const epochs = new Map(last && withoutEpoch(session, last, asked).map((id) => [id, heads.get(id)?.epoch ?? '']));
      const found = last && leftSessionOf(session, last, asked, epochs);
      return { found, truth };
    },
    sent,
  };
}

const GROUPS = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'];

/** Plays a life of a node, and returns whether the session was found. */
function play(seed: number, { evicts, lags }: { evicts: boolean; lags: boolean }): boolean {
  const below = seededRandom(seed);
  const node = createNode(below);
  const some = (): string => GROUPS[below(GROUPS.length)] ?? 'a';
  node.write();
  for (let step = below(60) + 5; step > 0; step -= 1) {
    const kind = below(12);
    if (kind < 6) node.deliver(some());
    else if (kind < 9) node.write();
    else if (kind === 9) node.join(some());
    else if (kind === 10) node.leave(some());
    else if (evicts && below(3) === 0) node.evict();
    else if (evicts && below(2) === 0) node.lose();
    else if (evicts) node.note(some());
  }
  const { length } = node.sent;
  const read = lags ? below(length + 1) : Math.max(0, length - below(2));
  const { found, truth } = node.find(read);
  if (!found) return false;
  // After the death there may be more events of others.
  const later = below(3) === 0 ? some() : undefined;
  const isStill = (found.atHead ?? []).every((groupId) => {
    const position = new Map(found.groups).get(groupId);
    const head = node.heads.get(groupId);
    return groupId !== later && position?.epoch === head?.epoch && position?.seq === head?.seq;
  });
  if (isStill) expect([seed, Object.fromEntries(found.groups)]).toEqual([seed, Object.fromEntries(truth)]);
  return isStill;
}

describe('the session of a client whose node has died', () => {
  test('is never found where its client does not stand, and nearly always found for one that was there (G92)', () => {
    const rounds = 4_000;
    let healthy = 0;
    for (let seed = 1; seed <= rounds; seed += 1) {
      if (play(seed, { evicts: false, lags: false })) healthy += 1;
      play(seed, { evicts: true, lags: true });
      play(seed, { evicts: true, lags: false });
      play(seed, { evicts: false, lags: true });
    }
    expect(healthy / rounds).toBeGreaterThan(0.8);
  });
});
