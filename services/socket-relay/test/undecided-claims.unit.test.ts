import { EventEmitter } from 'node:events';
import { pino } from 'pino';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { createUndecidedClaims } from '../src/membership/undecided-claims.ts';
import type { UserSocket } from '../src/sessions/session.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

/** Claims that the API confirms as soon as it is asked again. */
function setUp() {
  const undecided = new Set<string>();
  const emitter = new EventEmitter();
  const session = { userId: 'alice', claims: {}, undecided };
  const socket = Object.assign(emitter, { id: 's', connected: true, data: { session } }) as unknown as UserSocket;
  const claims = createUndecidedClaims({
    membership: { decideClaims: async (_: unknown, asked: string[]) => ({ admitted: asked, undecided: [] }) },
    removals: { removedSince: () => false },
    entry: { grant: () => [], announce: async () => undefined, tellUndecided: () => undefined },
    monitor: { publish: () => undefined },
    log: pino({ level: 'silent' }),
  } as unknown as Parameters<typeof createUndecidedClaims>[0]);
  return { undecided, emitter, socket, claims };
}

test('a connection whose groups are undecided again and again has one listener for its end, and then none', async () => {
  const { undecided, emitter, socket, claims } = setUp();
  for (let n = 0; n < 20; n += 1) {
    undecided.add(`g${n}`);
    claims.add(socket);
    claims.add(socket);
    expect([emitter.listenerCount('disconnect'), claims.isWaiting(`g${n}`)]).toEqual([1, true]);
    await vi.advanceTimersByTimeAsync(1_000);
    expect([emitter.listenerCount('disconnect'), claims.isWaiting(`g${n}`)]).toEqual([0, false]);
  }
});

test('a connection that ends meanwhile is waited for no longer', () => {
  const { undecided, emitter, socket, claims } = setUp();
  undecided.add('g');
  claims.add(socket);
  emitter.emit('disconnect', 'transport close');
  expect([emitter.listenerCount('disconnect'), claims.isWaiting('g')]).toEqual([0, false]);
});
