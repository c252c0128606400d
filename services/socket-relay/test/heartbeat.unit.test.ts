import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { createHeartbeat, type Heartbeat } from '../src/engine/heartbeat.ts';
import { NO_MARK } from '../src/sessions/marks.ts';
import type { RelaySocket } from '../src/sessions/session.ts';

const INTERVAL_MS = 10_000;
const TIMEOUT_MS = 5_000;

/** The sum of the delays of all timers. */
let late: number;
let startedAt: number;
const clock = (): number => Date.now() - startedAt + late;
let heartbeat: Heartbeat;
beforeEach(() => {
  vi.useFakeTimers();
  late = 0;
  startedAt = Date.now();
  heartbeat = createHeartbeat({ intervalMs: INTERVAL_MS, timeoutMs: TIMEOUT_MS }, () => NO_MARK, clock);
});
afterEach(() => {
  heartbeat.stop();
  vi.useRealTimers();
});

/** A connection that answers at once, and when it was pinged. */
function connection(): { socket: RelaySocket; pings: number[] } {
  const pings: number[] = [];
  const conn = {
    readyState: 'open',
    protocol: 4,
    writeBuffer: [],
    transport: { name: 'polling', writable: false },
    pingIntervalTimer: setTimeout(() => undefined, INTERVAL_MS),
    pingTimeoutTimer: null,
    hasRefreshedPingTimeout: false,
    sendPacket: () => void pings.push(clock()),
    resetPingTimeout: () => undefined,
    once: () => undefined,
  };
  return { socket: { conn, data: {}, handshake: { issued: Date.now() } } as unknown as RelaySocket, pings };
}

/** Turns the wheel for `ms`, with each of its timers late. */
function turn(ms: number, lateMs: number): void {
  for (const until = clock() + ms; clock() < until; ) {
    late += lateMs;
    vi.advanceTimersToNextTimer();
  }
}

test.each([0, 50, 400, 3_000])('in a process that is %i ms late every peer is pinged in time', (lateMs) => {
  const all = Array.from({ length: 250 }, () => connection());
  for (const { socket } of all) heartbeat.watch(socket);
  turn(6 * INTERVAL_MS, lateMs);
  for (const { pings } of all) {
    const gaps = pings.map((at, index) => at - (pings[index - 1] ?? 0));
    expect(gaps.length).toBeGreaterThanOrEqual(5);
    // Its own time for it begins anew with each ping.
    expect(Math.max(...gaps)).toBeLessThan(INTERVAL_MS + TIMEOUT_MS);
  }
});

test('pings of connections that came at once are spread', () => {
  const all = Array.from({ length: 200 }, () => connection());
  for (const { socket } of all) heartbeat.watch(socket);
  turn(INTERVAL_MS, 0);
  expect(all.map(({ pings }) => pings.length)).toEqual(all.map(() => 1));
  expect(new Set(all.flatMap(({ pings }) => pings)).size).toBe(100);
});

test('one whose handshake took half of the time it waits is pinged at once', () => {
  const [slow, quick] = [connection(), connection()];
  heartbeat.expect(slow.socket);
  late += TIMEOUT_MS / 2 - 100;
  heartbeat.expect(quick.socket);
  late += 100;
  for (const { socket } of [quick, slow]) heartbeat.watch(socket);
  expect([quick.pings, slow.pings]).toEqual([[], [TIMEOUT_MS / 2]]);
});
