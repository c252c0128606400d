import type { JsonObject } from '@groupcast/shared';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { createMemoryGroupLog } from '../src/group-log/memory-group-log.ts';
import { createRateLimit } from '../src/sessions/rate-limit.ts';
import type { RelaySocket } from '../src/sessions/session.ts';
import { createSessionExpiry, type SessionExpiry } from '../src/sessions/session-expiry.ts';
import type { ApiClient } from '../src/upstream/api-client.ts';
import { createHistoryFill } from '../src/upstream/history-fill.ts';

const HOUR_MS = 3_600_000;
const log = pino({ level: 'silent' });

/** Only the time of day is set back; timers and durations go on as they do. */
function setBackAnHour(): void {
  vi.setSystemTime(Date.now() - HOUR_MS);
}

describe('a wall clock that is set back an hour', () => {
  let expiry: SessionExpiry | undefined;
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['Date', 'performance', 'setInterval', 'clearInterval'] });
  });
  afterEach(() => {
    expiry?.stop();
    vi.useRealTimers();
  });

  test('does not hold events of a connection back (G41)', () => {
    const rate = createRateLimit(10);
    for (let n = 0; n < 20; n += 1) rate.take();
    setBackAnHour();
    vi.advanceTimersByTime(1_000);
    for (let n = 0; n < 10; n += 1) expect(() => rate.take()).not.toThrow();
    expect(() => rate.take()).toThrow(expect.objectContaining({ code: 'RATE_LIMITED', retryAfterMs: 100 }));
  });

  test('does not keep an empty log from being filled', async () => {
    const asked: string[] = [];
    const api = {
      async history(groupId: string) {
        asked.push(groupId);
        throw new Error('away');
      },
    } as unknown as ApiClient;
    const groupLog = createMemoryGroupLog({ size: 10, bytes: 10_000, ttlMs: 1_000, totalBytes: 10_000 });
    const { fill } = createHistoryFill({ api, groupLog, log });
    await fill('g');
    setBackAnHour();
    vi.advanceTimersByTime(1_500);
    await fill('g');
    expect(asked).toEqual(['g', 'g']);
    await groupLog.close();
  });

  test('does not lengthen the time in which a revoked token is to be refreshed', () => {
    const seconds = (): number => Math.floor(Date.now() / 1_000);
    const told: string[] = [];
    let closed = false;
    const claims = { issuedAt: seconds(), expiresAt: seconds() + 7_200 };
    const socket = {
      data: { session: { claims } },
      connected: true,
      emit: (_event: string, { next }: { next: string }) => told.push(next),
      disconnect: () => {
        closed = true;
      },
      conn: {
        transport: {},
        close: () => {
          closed = true;
        },
      },
    } as unknown as RelaySocket;
    expiry = createSessionExpiry();
    expiry.watch(socket);
    expiry.endWithin(socket, 30);
    setBackAnHour();
    vi.advanceTimersByTime(29_000);
    expect(told).toEqual([]);
    vi.advanceTimersByTime(2_000);
    expect(told).toEqual(['reconnect']);
    expect(closed).toBe(true);
  });

  test('does not keep events longer, nor opens an epoch below the one before (G41)', async () => {
    const groupLog = createMemoryGroupLog({ size: 10, bytes: 10_000, ttlMs: 10_000, totalBytes: 10_000 });
    const append = async (groupId: string, message: JsonObject = {}) =>
      groupLog.append({ groupId, id: crypto.randomUUID(), event: 'e', message });
    const generation = async (groupId: string): Promise<number> =>
      Number.parseInt((await groupLog.head(groupId))?.epoch ?? '', 10);
    await append('before');
    setBackAnHour();
    await append('after');
    expect(await generation('after')).toBeGreaterThanOrEqual(await generation('before'));
    vi.advanceTimersByTime(11_000);
    expect((await groupLog.read('before', 0, 10)).events).toEqual([]);
    await groupLog.close();
  });
});
