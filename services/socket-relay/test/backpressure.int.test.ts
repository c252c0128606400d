import type { GroupcastError } from '@groupcast/shared';
import { received, until } from '@groupcast/testing';
import type { Socket } from 'socket.io-client';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { ask, type RelayUnderTest, startRelayUnderTest } from './relay-harness.ts';

const MEMBERS = 40;
/** Size of a batch that takes more than one turn of the event loop to be written to all of them. */
const BURST = { items: 500, bytes: 1_200 };
const EPOCH = '1-test';

let relay: RelayUnderTest;
beforeEach(async () => {
  // Everything is in one process here, so that nothing lags for long.
  relay = await startRelayUnderTest({ FANOUT: 'gathered', FANOUT_MAX_LAG_MS: '1' });
});
afterEach(async () => relay.close());

interface Recorder {
  socket: Socket;
  /** Positions, in the order in which they came. */
  got: number[];
}

async function openMembers(groupId: string): Promise<Recorder[]> {
  return Promise.all(
    Array.from({ length: MEMBERS }, async (_, n) => {
      const socket = await relay.member(`u${n}`, [groupId]);
      const got: number[] = [];
      socket.on('new-message', ({ seq }: { seq: number }) => got.push(seq));
      return { socket, got };
    }),
  );
}

async function metric(name: string): Promise<number> {
  const text = await (await fetch(`${relay.internalUrl}/metrics`)).text();
  return Number(new RegExp(`^groupcast_relay_${name}(?:\\{.*\\})? (\\S+)$`, 'm').exec(text)?.[1]);
}

const message = (groupId: string, seq: number, bytes = 0) => ({
  groupId,
  epoch: EPOCH,
  seq,
  id: `m${seq}`,
  message: { text: 'x'.repeat(bytes) },
});

/** Members of the group fall behind. Resolves once the relay has taken it. */
async function burst(groupId: string): Promise<void> {
  const items = Array.from({ length: BURST.items }, (_, n) => message(groupId, n + 1, BURST.bytes));
  for (const result of await relay.broadcaster.broadcastBatch(items)) expect(result.ok).toBe(true);
}

/** Publishes all at once, and refused ones again, until the relay has everything. */
async function publishAll(groupId: string, first: number, last: number): Promise<void> {
  let missing = Array.from({ length: last - first + 1 }, (_, n) => first + n);
  while (missing.length > 0) {
    const answers = await Promise.allSettled(
      missing.map(async (seq) => relay.broadcaster.broadcastMessage(message(groupId, seq))),
    );
    for (const answer of answers) {
      if (answer.status === 'fulfilled') continue;
      const { code, retryable } = answer.reason as GroupcastError;
      // The last one: its answer took longer than the publisher waits, on a busy machine.
      expect(['RATE_LIMITED', 'POSITION_GAP', 'RELAY_UNAVAILABLE']).toContain(code);
      expect(retryable).toBe(true);
    }
    missing = missing.filter((_, index) => answers[index]?.status === 'rejected');
  }
}

test('thousands of publishes in flight wait for members who are behind, and everybody gets all of them in order (G33)', {
  timeout: 150_000,
}, async () => {
  const members = await openMembers('g');
  const last = BURST.items + 2_000;
  await Promise.all([burst('g'), publishAll('g', BURST.items + 1, last)]);
  // Everybody had more than the burst when the last of them was taken; how much more, the members' own reading decides.
  const fewest = Math.min(...members.map(({ got }) => got.length));
  expect(fewest).toBeGreaterThan(BURST.items);
  await until('everybody to have everything', () => members.every(({ got }) => got.length >= last), 60_000);
  const all = Array.from({ length: last }, (_, n) => n + 1);
  for (const { socket, got } of members) {
    expect(got).toEqual(all);
    expect(socket.connected).toBe(true);
  }
  expect(await metric('broadcasts_delayed_total')).toBeGreaterThan(1_000);
  expect(await metric('broadcasts_waiting')).toBe(0);
});

test('a removal is answered while publishes and a batch that were called before it wait (G33)', async () => {
  const [removed] = await openMembers('g');
  if (!removed) throw new Error('no member');
  const left = received(removed.socket, 'left-groups');
  const answered: string[] = [];
  const note = async (name: string, call: Promise<unknown>): Promise<void> =>
    call.then(
      () => void answered.push(name),
      () => void answered.push(name),
    );
  const { broadcaster } = relay;
  const behind = burst('g');
  const singles = Array.from({ length: 2_000 }, async (_, n) =>
    note('single', broadcaster.broadcastMessage(message('g', BURST.items + 1 + n))),
  );
  const batch = note('batch', broadcaster.broadcastBatch([message('g', BURST.items + 2_001)]));
  await broadcaster.removeMembers({ groupId: 'g', userIds: ['u0'] });
  expect(answered.length).toBeLessThan(singles.length);
  expect(answered).not.toContain('batch');
  await left;
  const { length } = removed.got;
  expect(length).toBeLessThan(BURST.items + singles.length);
  await Promise.all([behind, ...singles, batch]);
  // The answer on its connection comes after everything else that was for it.
  expect(await ask(removed.socket, 'get-presence', { groupId: 'g' })).toBe('NOT_A_MEMBER');
  expect(removed.got).toHaveLength(length);
});
