import type { SeenUsers } from '@groupcast/shared';
import { pino } from 'pino';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { RelayServer, UserSocket } from '../src/sessions/session.ts';
import { createLastSeen, type LastSeen } from '../src/upstream/last-seen.ts';

const REPORT_MS = 5_000;
const REFRESH_MS = 300_000;
const PAUSE_MS = 30_000;

const sockets = new Map<string, UserSocket>();
const io = { of: () => ({ sockets }) } as unknown as RelayServer;
let told: string[][];
let answer: () => Promise<void>;
let lastSeen: LastSeen;

function socketOf(userId: string, claims: { presence?: false } = {}): UserSocket {
  const socket = { id: userId, data: { session: { kind: 'user', userId, claims } } } as unknown as UserSocket;
  sockets.set(userId, socket);
  return socket;
}

beforeEach(() => {
  vi.useFakeTimers();
  sockets.clear();
  told = [];
  answer = async () => undefined;
  const api = {
    async storeSeen({ userIds }: SeenUsers) {
      told.push([...userIds]);
      await answer();
    },
  };
  lastSeen = createLastSeen({ io, api, log: pino({ level: 'silent' }), now: () => Date.now() });
});
afterEach(async () => {
  await lastSeen.stop();
  vi.useRealTimers();
});

test('users who come and go are told to the back end together, and those who hide it are not', async () => {
  lastSeen.seen(socketOf('alice'));
  lastSeen.seen(socketOf('bob'));
  lastSeen.seen(socketOf('alice'));
  lastSeen.seen(socketOf('eve', { presence: false }));
  expect(told).toEqual([]);
  await vi.advanceTimersByTimeAsync(REPORT_MS);
  expect(told).toEqual([['alice', 'bob']]);
  await vi.advanceTimersByTimeAsync(REPORT_MS * 3);
  expect(told).toHaveLength(1);
});

test('users who stay are told again every few minutes', async () => {
  lastSeen.seen(socketOf('alice'));
  socketOf('eve', { presence: false });
  await vi.advanceTimersByTimeAsync(REFRESH_MS + REPORT_MS);
  expect(told).toEqual([['alice'], ['alice']]);
});

test('a report has 1,000 users, and the next one is sent when it was answered', async () => {
  for (let n = 0; n < 2_500; n += 1) lastSeen.seen(socketOf(`u${n}`));
  let release = (): void => undefined;
  answer = async () =>
    new Promise((resolve) => {
      release = resolve;
    });
  await vi.advanceTimersByTimeAsync(REPORT_MS * 4);
  expect(told.map(({ length }) => length)).toEqual([1_000]);
  answer = async () => undefined;
  release();
  await vi.advanceTimersByTimeAsync(0);
  expect(told.map(({ length }) => length)).toEqual([1_000, 1_000, 500]);
});

test('a back end that takes no report is left alone for a while', async () => {
  answer = async () => {
    throw new Error('not today');
  };
  lastSeen.seen(socketOf('alice'));
  await vi.advanceTimersByTimeAsync(REPORT_MS);
  lastSeen.seen(socketOf('bob'));
  await vi.advanceTimersByTimeAsync(PAUSE_MS - REPORT_MS);
  expect(told).toEqual([['alice']]);
  await vi.advanceTimersByTimeAsync(REPORT_MS * 2);
  expect(told).toEqual([['alice'], ['bob']]);
});

test('a relay that stops tells about those who have just gone', async () => {
  lastSeen.seen(socketOf('alice'));
  await lastSeen.stop();
  expect(told).toEqual([['alice']]);
});
