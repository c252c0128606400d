import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { createHeartbeat, type Heartbeat } from '../src/engine/heartbeat.ts';
import { createMarks, type Mark, type Marks, NO_MARK } from '../src/sessions/marks.ts';
import type { RelaySocket, UserSocket } from '../src/sessions/session.ts';

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

describe('the proof by a ping', () => {
  /** A user's connection whose answers the test gives, and the number of what was written to it. */
  function user(transport = 'websocket') {
    const listeners = new Map<string, (() => void)[]>();
    const state = { written: 0 };
    const conn = {
      ...(connection().socket.conn as object),
      transport: { name: transport, writable: false },
      upgrading: false,
      pingTimeoutTimer: null as unknown,
      sendPacket: () => undefined,
      resetPingTimeout() {
        conn.pingTimeoutTimer = {};
      },
      once: (event: string, listener: () => void) =>
        void listeners.set(event, [...(listeners.get(event) ?? []), listener]),
    };
    const emit = (event: string): void => {
      const once = listeners.get(event) ?? [];
      listeners.delete(event);
      for (const listener of once) listener();
    };
    const session = { kind: 'user', pinged: NO_MARK, proven: NO_MARK };
    const socket = { conn, data: { session } } as unknown as UserSocket;
    return {
      socket,
      state,
      answer() {
        conn.pingTimeoutTimer = null;
        emit('heartbeat');
      },
      upgrade() {
        conn.pingTimeoutTimer = null;
        emit('upgrade');
      },
    };
  }
  let peer: ReturnType<typeof user>;
  function begin(transport?: string, marks?: Marks): void {
    heartbeat.stop();
    peer = user(transport);
    const { state } = peer;
    const handedUpTo = (): Mark => marks?.until(state.written) ?? { upTo: state.written, at: clock() };
    heartbeat = createHeartbeat({ intervalMs: INTERVAL_MS, timeoutMs: TIMEOUT_MS }, handedUpTo, clock);
    heartbeat.watch(peer.socket);
  }
  const proven = (): number => heartbeat.provenOf(peer.socket).upTo;

  test('covers everything that was written before it, once it is answered', () => {
    begin();
    const seen: [number, number][] = [];
    heartbeat.onProven((_, before, now) => seen.push([before.upTo, now.upTo]));
    peer.state.written = 3;
    turn(INTERVAL_MS, 0);
    peer.state.written = 5;
    expect(proven()).toBe(0);
    peer.answer();
    expect(proven()).toBe(3);
    turn(INTERVAL_MS / 10, 0);
    expect(seen).toEqual([[0, 3]]);
    turn(INTERVAL_MS, 0);
    expect(proven()).toBe(3);
    peer.answer();
    expect(proven()).toBe(5);
  });

  test('is known at once to those who ask, however many they are, and the answer to an earlier ping is not theirs', () => {
    begin();
    peer.state.written = 1;
    turn(INTERVAL_MS, 0);
    const done: string[] = [];
    peer.state.written = 2;
    heartbeat.prove(peer.socket, () => done.push('first'));
    heartbeat.prove(peer.socket, () => done.push('second'));
    peer.answer();
    expect([done, proven()]).toEqual([[], 1]);
    peer.state.written = 3;
    peer.answer();
    expect([done, proven()]).toEqual([['first', 'second'], 2]);
  });

  test('is nothing where a transport was replaced while it was under way, until the answers are certain again', () => {
    begin('polling');
    peer.state.written = 1;
    turn(INTERVAL_MS, 0);
    // Engine.IO forgets the ping, and its answer comes later.
    peer.upgrade();
    const done: string[] = [];
    peer.state.written = 2;
    heartbeat.prove(peer.socket, () => done.push('asked'));
    turn(INTERVAL_MS, 0);
    peer.answer();
    expect([proven(), done]).toEqual([0, []]);
    for (let beats = 0; beats < 2; beats += 1) {
      turn(INTERVAL_MS, 0);
      peer.answer();
    }
    expect(proven()).toBe(2);
  });

  test('is nothing there either if nothing was written before the ping', () => {
    begin('polling', createMarks(clock));
    heartbeat.prove(peer.socket, () => undefined);
    peer.upgrade();
    peer.state.written = 1;
    heartbeat.prove(peer.socket, () => undefined);
    turn(INTERVAL_MS, 0);
    // The answer to the ping that was forgotten.
    peer.answer();
    expect(proven()).toBe(0);
  });
});
