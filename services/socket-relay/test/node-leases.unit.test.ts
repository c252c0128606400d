import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { createNodeLeases, type NodeLeases, type RenewLease } from '../src/nodes/node-leases.ts';

const LEASE_MS = 10_000;

describe('the lease of a node', () => {
  let leases: NodeLeases;
  const changes: boolean[] = [];
  let answer: Awaited<ReturnType<RenewLease>> | undefined;

  beforeEach(async () => {
    vi.useFakeTimers();
    changes.length = 0;
    answer = { nodes: ['n', 'other'], monitors: 0, wasKnown: true };
    leases = createNodeLeases({
      renewLease: async () => answer ?? Promise.reject(new Error('away')),
      node: 'n',
      leaseMs: LEASE_MS,
      hasMonitors: () => false,
      log: pino({ level: 'silent' }),
    });
    await leases.start();
    leases.onChange((held) => changes.push(held));
  });
  afterEach(async () => {
    await leases.stop();
    vi.restoreAllMocks();
    vi.useRealTimers();
  });

  test('is held while it is renewed, and lost before the others stop counting on it', async () => {
    await vi.advanceTimersByTimeAsync(5 * LEASE_MS + 300);
    expect([leases.held(), changes]).toEqual([true, []]);
    // Renewed in the middle of an interval, as any request among relays does.
    await leases.nodes();
    answer = undefined;
    await vi.advanceTimersByTimeAsync(LEASE_MS * 0.9 - 5);
    expect([leases.held(), changes]).toEqual([true, []]);
    await vi.advanceTimersByTimeAsync(10);
    expect([leases.held(), changes]).toEqual([false, [false]]);
  });

  test('that was lost with the list of all is held again, and the nodes from before count for one lease more', async () => {
    answer = undefined;
    await vi.advanceTimersByTimeAsync(3 * LEASE_MS);
    expect(leases.held()).toBe(false);
    // The other one may have renewed its lease until the list was lost.
    answer = { nodes: ['n'], monitors: 0, wasKnown: false };
    expect(await leases.nodes()).toEqual(['n', 'other']);
    answer = { nodes: ['n'], monitors: 0, wasKnown: true };
    await vi.advanceTimersByTimeAsync(LEASE_MS * 0.9);
    expect(await leases.nodes()).toEqual(['n', 'other']);
    await vi.advanceTimersByTimeAsync(LEASE_MS * 0.2);
    expect(await leases.nodes()).toEqual(['n']);
  });

  test('of one that stood still is lost although it can be renewed, and held again only after the work that has to be done', async () => {
    let done: () => void = () => undefined;
    leases.beforeTrust(async () => new Promise((resolve) => (done = resolve)));
    const now = performance.now();
    vi.spyOn(performance, 'now').mockImplementation(() => now + 2 * LEASE_MS);
    expect(leases.held()).toBe(false);
    await leases.nodes();
    expect([leases.held(), changes]).toEqual([false, [false]]);
    await vi.advanceTimersByTimeAsync(LEASE_MS / 5);
    expect([leases.held(), changes]).toEqual([false, [false]]);
    done();
    await vi.advanceTimersByTimeAsync(0);
    expect([leases.held(), changes]).toEqual([true, [false, true]]);
  });

  test('is given up at once while strangers are in the list, although it can be renewed, and held again when they are gone', async () => {
    const alone = { nodes: ['n', 'other'], monitors: 0, wasKnown: true };
    let steps = 0;
    leases.beforeTrust(async () => void (steps += 1));
    answer = { ...alone, strangers: ['theirs'] };
    // It says that it is there, and is looked at.
    leases.noticed('theirs');
    await vi.advanceTimersByTimeAsync(0);
    expect([leases.held(), changes]).toEqual([false, [false]]);
    await vi.advanceTimersByTimeAsync(3 * LEASE_MS);
    expect([leases.held(), changes, steps]).toEqual([false, [false], 0]);
    answer = alone;
    // Some that come while the work is done are as bad.
    leases.beforeTrust(async () => {
      if (steps > 1) return;
      answer = { ...alone, strangers: ['theirs'] };
      await leases.nodes();
    });
    await vi.advanceTimersByTimeAsync(LEASE_MS / 5);
    expect([leases.held(), changes, steps]).toEqual([false, [false], 1]);
    answer = alone;
    await vi.advanceTimersByTimeAsync((2 * LEASE_MS) / 5);
    expect([leases.held(), changes, steps]).toEqual([true, [false, true], 2]);
  });

  test('counts on nodes that a list without its memory does not name, for as long as they may have one', async () => {
    await vi.advanceTimersByTimeAsync(LEASE_MS / 5);
    leases.noticed('young');
    answer = { nodes: ['n'], monitors: 0, wasKnown: false };
    expect((await leases.nodes()).toSorted()).toEqual(['n', 'other', 'young']);
    answer = { nodes: ['n'], monitors: 0, wasKnown: true };
    await vi.advanceTimersByTimeAsync(LEASE_MS / 2);
    expect((await leases.nodes()).toSorted()).toEqual(['n', 'other', 'young']);
    await vi.advanceTimersByTimeAsync(LEASE_MS);
    expect(await leases.nodes()).toEqual(['n']);
  });
});
