import { describe, expect, test } from 'vitest';
import { ClientError } from '../src/errors.ts';
import { createCursorReport } from '../src/groups/cursors.ts';
import { manualClock, memoryLogger } from './manual-clock.ts';

type Reported = Record<string, { received?: number; applied?: number; read?: number }>;

function setUp(relay: { connected: boolean; epoch?: string; answer: (cursors: Reported) => Promise<unknown> }) {
  const clock = manualClock();
  const reports: { at: number; cursors: Reported }[] = [];
  const reads: [string, number][] = [];
  const cursors = createCursorReport({
    report(reported) {
      if (!relay.connected) return undefined;
      reports.push({ at: clock.now(), cursors: reported });
      return relay.answer(reported);
    },
    markRead: async (groupId, seq) => reads.push([groupId, seq]),
    intervalMs: 1_000,
    epochOf: () => (relay.epoch ?? '1-a') || undefined,
    clock,
    random: () => 1,
    log: memoryLogger(),
  });
  return { clock, reports, reads, cursors };
}

const fine = async (): Promise<unknown> => ({});

describe('cursor report', () => {
  test('gathers what happens, and is sent at most once in an interval', async () => {
    const { clock, reports, cursors } = setUp({ connected: true, answer: fine });
    for (let seq = 1; seq <= 50; seq += 1) {
      cursors.applied('g', seq);
      cursors.applied('h', seq + 100);
      if (seq === 20) cursors.read('g', 20);
      await clock.advance(100);
    }
    await clock.advance(2_000);
    expect(reports.at(-1)?.cursors).toEqual({ g: { received: 50, applied: 50 }, h: { received: 150, applied: 150 } });
    const gaps = reports.slice(1).map(({ at }, index) => at - (reports[index]?.at ?? 0));
    expect(Math.min(...gaps)).toBeGreaterThanOrEqual(1_000);
    expect(reports.length).toBeLessThan(8);
  });

  test('a read cursor is reported at once; lower and equal numbers are no news', async () => {
    const { clock, reports, cursors } = setUp({ connected: true, answer: fine });
    cursors.read('g', 5);
    await clock.advance(0);
    expect(reports.map(({ cursors: told }) => told)).toEqual([{ g: { read: 5 } }]);
    cursors.read('g', 5);
    cursors.read('g', 4);
    await clock.advance(10_000);
    expect([reports.length, clock.timers]).toEqual([1, 0]);
  });

  test('a relay that takes no reports is not bothered again; read cursors go to the API', async () => {
    const unknown = async (): Promise<unknown> => Promise.reject(new ClientError('UNKNOWN_EVENT', 'no such event'));
    const { clock, reports, reads, cursors } = setUp({ connected: true, answer: unknown });
    cursors.applied('g', 7);
    cursors.read('g', 5);
    await clock.advance(5_000);
    cursors.read('g', 6);
    await clock.advance(5_000);
    expect([reports.length, reads]).toEqual([
      1,
      [
        ['g', 5],
        ['g', 6],
      ],
    ]);
  });

  test('without a connection what was read goes to the API, and the rest waits for the next', async () => {
    const relay = { connected: false, answer: fine };
    const { clock, reports, reads, cursors } = setUp(relay);
    cursors.applied('g', 7);
    cursors.read('g', 6);
    await clock.advance(10_000);
    expect([reports, reads]).toEqual([[], [['g', 6]]]);
    relay.connected = true;
    cursors.reconnected();
    await clock.advance(1_000);
    expect(reports.map(({ cursors: told }) => told)).toEqual([{ g: { received: 7, applied: 7 } }]);
  });

  test('messages that have arrived in a list wait for a connection, too', async () => {
    const relay = { connected: false, answer: fine };
    const { clock, reports, cursors } = setUp(relay);
    cursors.received('g', 7);
    await clock.advance(10_000);
    relay.connected = true;
    cursors.reconnected();
    await clock.advance(1_000);
    cursors.applied('g', 7);
    await clock.advance(2_000);
    expect(reports.map(({ cursors: told }) => told)).toEqual([{ g: { received: 7 } }, { g: { applied: 7 } }]);
  });

  test('more groups than a report may have go into the next ones', async () => {
    const { clock, reports, cursors } = setUp({ connected: true, answer: fine });
    for (let n = 0; n < 2_500; n += 1) cursors.received(`g${n}`, 1);
    await clock.advance(5_000);
    expect(reports.map(({ cursors: told }) => Object.keys(told).length)).toEqual([1_000, 1_000, 500]);
    expect(new Set(reports.flatMap(({ cursors: told }) => Object.keys(told))).size).toBe(2_500);
  });

  test('a report that failed is repeated', async () => {
    let failures = 2;
    const { clock, reports, cursors } = setUp({
      connected: true,
      answer: async () => {
        failures -= 1;
        if (failures >= 0) throw new ClientError('RATE_LIMITED', 'too many', { retryable: true });
        return {};
      },
    });
    cursors.read('g', 5);
    await clock.advance(60_000);
    expect(reports.map(({ cursors: told }) => told)).toEqual(Array.from({ length: 3 }, () => ({ g: { read: 5 } })));
  });

  test('cursors below a removal are no news of the membership that follows it, where they are reported anew', async () => {
    let fail: ((error: ClientError) => void) | undefined;
    const relay = { connected: true, answer: fine };
    const { clock, reports, cursors } = setUp(relay);
    cursors.applied('g', 3);
    cursors.read('g', 3);
    await clock.advance(2_000);
    relay.answer = async () => new Promise((_, reject) => (fail = reject));
    cursors.read('g', 4);
    await clock.advance(2_000);
    cursors.applied('g', 7);
    cursors.forget('g', 5);
    relay.answer = fine;
    fail?.(new ClientError('UNREACHABLE', 'gone', { retryable: true }));
    await clock.advance(2_000);
    cursors.read('g', 3);
    await clock.advance(10_000);
    expect(reports.slice(2).map(({ cursors: told }) => told)).toEqual([
      { g: { received: 7, applied: 7 } },
      { g: { read: 3 } },
    ]);
  });

  test('reports that a relay took in the last moments of a connection are made to the next one, and no older ones', async () => {
    const { clock, reports, cursors } = setUp({ connected: true, answer: fine });
    cursors.applied('old', 9);
    await clock.advance(10_000);
    cursors.applied('g', 7);
    cursors.read('g', 6);
    cursors.applied('left', 3);
    await clock.advance(1_000);
    cursors.forget('left');
    await clock.advance(30_000);
    const before = reports.length;
    // It was silent for as long, so that the report was one of its last moments.
    cursors.down(30_000);
    cursors.reconnected();
    await clock.advance(10_000);
    expect(reports.slice(before).map(({ cursors: told }) => told)).toEqual([
      { g: { received: 7, applied: 7, read: 6 } },
    ]);
    cursors.down(0);
    cursors.reconnected();
    await clock.advance(10_000);
    expect([reports.length, clock.timers]).toEqual([before + 1, 0]);
  });

  test('reports of a lost relay outlive the polls in between, and wait until their group is caught up', async () => {
    const relay = { connected: true, answer: fine, epoch: '1-a' };
    const { clock, reports, cursors } = setUp(relay);
    cursors.applied('g', 7);
    await clock.advance(1_000);
    cursors.down(0);
    relay.connected = false;
    await clock.advance(12_000);
    cursors.unheard('other', 3);
    await clock.advance(12_000);
    relay.connected = true;
    relay.epoch = '';
    cursors.reconnected();
    await clock.advance(10_000);
    expect(reports.length).toBe(1);
    relay.epoch = '1-a';
    await clock.advance(5_000);
    expect(reports.slice(1).map(({ cursors: told }) => told)).toEqual([{ g: { received: 7, applied: 7 } }]);
  });

  test('nothing waits for a group to catch up that is not followed any more', async () => {
    const relay = { connected: true, answer: fine, epoch: '1-a' };
    const { clock, reports, cursors } = setUp(relay);
    cursors.read('g', 6);
    await clock.advance(1_000);
    cursors.down(0);
    relay.epoch = '';
    cursors.reconnected();
    cursors.forget('g');
    await clock.advance(10_000);
    expect([reports.length, clock.timers]).toEqual([1, 0]);
  });

  test('reports of a lost relay are no reports of a group that was started over', async () => {
    const relay = { connected: true, answer: fine, epoch: '1-a' };
    const { clock, reports, cursors } = setUp(relay);
    cursors.read('g', 100);
    await clock.advance(1_000);
    cursors.down(0);
    relay.epoch = '2-b';
    cursors.reconnected();
    await clock.advance(10_000);
    expect([reports.length, clock.timers]).toEqual([1, 0]);
  });

  test('a read cursor that the API turns out not to know is reported again, unless it was reported a moment ago', async () => {
    const { clock, reports, cursors } = setUp({ connected: true, answer: fine });
    cursors.read('g', 6);
    await clock.advance(2_000);
    cursors.unheard('g', 6);
    await clock.advance(10_000);
    expect(reports.length).toBe(1);
    cursors.unheard('g', 6);
    cursors.unheard('g', 6);
    cursors.unheard('h', 2);
    await clock.advance(10_000);
    expect(reports.slice(1).map(({ cursors: told }) => told)).toEqual([{ g: { read: 6 }, h: { read: 2 } }]);
  });

  test('stopped, it says nothing more', async () => {
    const { clock, reports, cursors } = setUp({ connected: true, answer: fine });
    cursors.applied('g', 5);
    cursors.stop();
    cursors.read('g', 5);
    await clock.advance(10_000);
    expect([reports, clock.timers]).toEqual([[], 0]);
  });

  test('a report that is refused because of one group is repeated for the others', async () => {
    const { clock, reports, cursors } = setUp({
      connected: true,
      answer: async (reported) => {
        if ('x' in reported) throw new ClientError('NOT_A_MEMBER', 'not yours');
        return {};
      },
    });
    cursors.applied('g', 5);
    cursors.applied('x', 1);
    cursors.applied('h', 2);
    await clock.advance(10_000);
    const told = (seq: number) => ({ received: seq, applied: seq });
    expect(reports.map((report) => report.cursors)).toEqual([
      { g: told(5), x: told(1), h: told(2) },
      { g: told(5) },
      { x: told(1) },
      { h: told(2) },
    ]);
  });
});
