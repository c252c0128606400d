import { pino } from 'pino';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { createRemovals, type Removals } from '../src/membership/removals.ts';

const DAY_MS = 86_400_000;
const HOUR_MS = 3_600_000;

const warnings: string[] = [];
const log = pino({ level: 'warn' }, { write: (line: string) => void warnings.push((JSON.parse(line) as Line).msg) });
interface Line {
  msg: string;
}

const opened: Removals[] = [];
function open(maxEntries = 100_000, clocks: { now?: () => number; monotonic?: () => number } = {}): Removals {
  const removals = createRemovals({ memoryMs: DAY_MS, maxEntries, log, ...clocks });
  opened.push(removals);
  return removals;
}

afterEach(() => {
  for (const removals of opened.splice(0)) removals.stop();
  warnings.length = 0;
  vi.useRealTimers();
});

const users = (count: number, prefix = 'u'): string[] => Array.from({ length: count }, (_, n) => `${prefix}${n}`);
const seconds = (): number => Math.floor(Date.now() / 1_000);
const at = (seq: number) => ({ epoch: '1-a', seq });

describe('the removal of everybody', () => {
  test('is one entry, however many had been added', () => {
    const removals = open();
    for (let group = 0; group < 20; group += 1) {
      removals.record('added', `g${group}`, users(950), at(1));
      removals.recordEveryone(`g${group}`, at(2));
    }
    // The addition and the removal of each group, and none of its users.
    expect(removals.size()).toBeLessThanOrEqual(20 * 2);
    expect(removals.addedSince('u1', seconds())).toEqual([]);
    expect(removals.contradicts('g3', 'u1', seconds())).toBe(true);
    expect(removals.contradicts('g3', 'somebody who was never named', seconds())).toBe(true);
    expect(removals.contradicts('g3', 'u1', seconds() + 11)).toBe(false);
  });

  test('leaves those who were added later, and is left out when it comes after a newer one', () => {
    const removals = open();
    removals.record('added', 'g', ['alice', 'bob'], at(3));
    removals.record('added', 'g', ['bob'], at(8));
    const before = removals.version;
    expect(removals.recordEveryone('g', at(5))).toEqual(new Set(['bob']));
    expect([removals.removedSince('g', 'alice', before), removals.removedSince('g', 'bob', before)]).toEqual([
      true,
      false,
    ]);
    expect(removals.addedSince('bob', seconds())).toEqual(['g']);
    expect(removals.record('added', 'g', ['alice'], at(4))).toEqual([]);
    expect(removals.recordEveryone('g', at(2))).toBeUndefined();
    expect(removals.record('added', 'g', ['alice'], at(6))).toEqual(['alice']);
    expect(removals.contradicts('g', 'alice', seconds())).toBe(false);
  });

  test('is taken back, for one who is added again, as long as it is remembered', () => {
    let clock = 0;
    const removals = open(100_000, { monotonic: () => clock });
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
    const kept = open(100_000, { monotonic: () => clock });
    for (const store of [removals, kept]) {
      store.recordEveryone('g');
      store.record('added', 'g', ['alice']);
    }
    clock = HOUR_MS;
    vi.advanceTimersByTime(60_000);
    // An addition by itself is forgotten after five minutes.
    expect(kept.contradicts('g', 'alice', seconds())).toBe(false);
    expect(kept.contradicts('g', 'bob', seconds())).toBe(true);
  });
});

describe('the store of removals is bounded', () => {
  test('the oldest removals are forgotten, and claims from before them are nobody’s word any more (G40)', () => {
    let now = Date.now();
    const removals = open(1_000, { now: () => now });
    removals.reachesBackTo(0);
    const issuedAt = Math.floor(now / 1_000) - 100;
    expect(removals.claimStands('g', 'alice', issuedAt)).toBe(true);
    removals.record('removed', 'g', ['alice']);
    for (let group = 0; group < 30; group += 1) {
      now += 1_000;
      removals.record('removed', `g${group}`, users(100));
      expect(removals.size()).toBeLessThanOrEqual(1_000);
    }
    // Nobody knows of alice any more: her claim is the API's to confirm, and refused where there is no API.
    expect(removals.claimStands('g', 'alice', issuedAt)).toBe(false);
    expect(removals.contradicts('g', 'alice', issuedAt)).toBe(true);
    expect(removals.claimStands('other', 'bob', issuedAt)).toBe(false);
    expect(removals.claimStands('g', 'alice', Math.floor(now / 1_000) + 6)).toBe(true);
    // The newest are known.
    expect(removals.contradicts('g29', 'u7', Math.floor(now / 1_000))).toBe(true);
    expect(warnings.filter((text) => text.startsWith('more removals than REMOVAL_MEMORY_ENTRIES'))).toHaveLength(1);
  });

  test('additions push no removal out', () => {
    const removals = open(1_000);
    removals.record('removed', 'g', ['alice']);
    for (let group = 0; group < 200; group += 1) removals.record('added', `g${group}`, users(100));
    expect(removals.size()).toBeLessThanOrEqual(2_000);
    expect(removals.contradicts('g', 'alice', seconds())).toBe(true);
    expect(removals.addedSince('u1', seconds())).toContain('g199');
    expect(warnings).toEqual([expect.stringMatching(/^more new members than REMOVAL_MEMORY_ENTRIES/)]);
  });

  test('a revocation that is forgotten takes every token from before it along', () => {
    const removals = open(1_000);
    removals.revoke('mallory', seconds() - 10);
    for (const userId of users(1_001)) removals.revoke(userId, seconds() - 10);
    expect(removals.size()).toBeLessThanOrEqual(1_000);
    expect(removals.isRevoked('mallory', seconds() - 20)).toBe(true);
    expect(removals.isRevoked('somebody', seconds() - 20)).toBe(true);
    expect(removals.isRevoked('mallory', seconds())).toBe(false);
    expect(warnings).toEqual([expect.stringMatching(/^more revocations than REMOVAL_MEMORY_ENTRIES/)]);
  });

  test('one that is far ahead, and forgotten, locks nobody out for ever', () => {
    const removals = open(1_000);
    removals.revoke('mallory', Number.MAX_SAFE_INTEGER);
    for (const userId of users(1_001)) removals.revoke(userId, seconds() - 10);
    expect(removals.isRevoked('somebody', seconds())).toBe(false);
  });
});

test('a clock that is set a day ahead and back forgets no removal (G41)', () => {
  vi.useFakeTimers({ toFake: ['Date', 'setInterval', 'clearInterval'] });
  const start = Date.now();
  const removals = open();
  removals.record('removed', 'g', ['alice']);
  removals.revoke('mallory', seconds());
  vi.setSystemTime(start + DAY_MS + HOUR_MS);
  vi.advanceTimersByTime(60_000);
  vi.setSystemTime(start + 1_000);
  expect(removals.contradicts('g', 'alice', seconds())).toBe(true);
  expect(removals.isRevoked('mallory', seconds() - 10)).toBe(true);
});
