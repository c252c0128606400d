import { pino } from 'pino';
import { Server } from 'socket.io';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { createTyping } from '../src/conversation/typing.ts';
import { createTypingReceivers } from '../src/conversation/typing-receivers.ts';
import { createTypingSources } from '../src/conversation/typing-sources.ts';
import type { Sender } from '../src/fan-out/sender.ts';
import { createRelayMetrics } from '../src/metrics/relay-metrics.ts';
import { NO_MARK } from '../src/sessions/marks.ts';
import type { RelayServer } from '../src/sessions/session.ts';
import { createTransient } from '../src/transient/transient.ts';

describe('a member who types', () => {
  function start() {
    let clock = 0;
    const said: string[] = [];
    const sources = createTypingSources(
      ({ userId, isTyping }) => void said.push(`${userId} ${isTyping ? 'types' : 'stops'} at ${clock}`),
      () => clock,
    );
    return {
      sources,
      said,
      /** Time passes, and it is looked for what is due every 200 ms. */
      wait(ms: number) {
        for (const until = clock + ms; clock < until; ) {
          clock += 200;
          sources.sweep();
        }
      },
      report: (isTyping: boolean, userId = 'u', socketId = 's', groupId = 'g') =>
        sources.report(socketId, { groupId, userId, isTyping }),
    };
  }

  test('stops by itself 6 s after the last word, which prolongs it (G67)', () => {
    const { said, report, wait } = start();
    report(true);
    wait(4_000);
    report(true);
    wait(20_000);
    expect(said).toEqual(['u types at 0', 'u types at 4000', 'u stops at 10000']);
  });

  test('is heard once a second at most, however often it begins and stops, and ends with the last word', () => {
    const { said, report, wait } = start();
    for (let n = 0; n < 50; n += 1) {
      report(n % 2 === 0);
      wait(200);
    }
    wait(2_000);
    expect(said.length).toBeLessThanOrEqual(12);
    const times = said.map((word) => Number(word.split(' ').at(-1)));
    for (const [n, time] of times.entries())
      if (n > 0) expect(time - (times[n - 1] ?? 0)).toBeGreaterThanOrEqual(1_000);
    expect(said.at(-1)).toContain('stops');
  });

  test('types in twenty groups at once and no more, however many connections there are', () => {
    const { report, wait } = start();
    for (let n = 0; n < 20; n += 1) report(true, 'u', `s${n}`, `g${n}`);
    expect(() => report(true, 'u', 's', 'another')).toThrow(expect.objectContaining({ code: 'RATE_LIMITED' }));
    report(true, 'u', 's', 'g3');
    report(true, 'somebody else', 's', 'another');
    wait(10_000);
    report(true, 'u', 's', 'another');
  });

  test('is not heard at all if it has stopped before the others could hear of it', () => {
    const { said, report, wait, sources } = start();
    report(false);
    expect(sources.sweep()).toBe(0);
    report(true);
    report(false);
    report(true);
    report(false);
    wait(3_000);
    expect(said).toEqual(['u types at 0', 'u stops at 1000']);
    expect(sources.sweep()).toBe(0);
  });

  test('is heard to stop and to begin again where both came within the second: the others took it off with its message', () => {
    const { said, report, wait } = start();
    report(true);
    report(false);
    report(true);
    wait(2_000);
    report(true);
    wait(10_000);
    expect(said).toEqual(['u types at 0', 'u stops at 1000', 'u types at 2000', 'u stops at 8000']);
  });

  test.each([
    ['leaves the group', 'g'],
    ['is gone', undefined],
  ])('stops when its connection %s, and not when another one does (G67)', (_what, groupId) => {
    const { said, report, wait, sources } = start();
    report(true);
    wait(2_000);
    sources.left('another', groupId);
    sources.left('s', 'h');
    expect(said).toHaveLength(1);
    sources.left('s', groupId);
    expect(said).toEqual(['u types at 0', 'u stops at 2000']);
  });

  test('goes on typing on the connection that it used last', () => {
    const { said, report, wait, sources } = start();
    report(true, 'u', 'first');
    wait(2_000);
    report(true, 'u', 'second');
    sources.left('first');
    wait(2_000);
    expect(said).toEqual(['u types at 0', 'u types at 2000']);
  });

  test('is refused where more type than are shown, in a group and in all', () => {
    const { report, wait, sources } = start();
    for (let n = 0; n < 1_000; n += 1) report(true, `u${n}`);
    expect(() => report(true, 'late')).toThrow(expect.objectContaining({ code: 'RATE_LIMITED' }));
    for (let n = 0; n < 19_000; n += 1) report(true, `v${n}`, 's', `g${n}`);
    expect(() => report(true, 'v', 's', 'one too many')).toThrow(expect.objectContaining({ code: 'RATE_LIMITED' }));
    // A repeated word is not one more.
    report(true, 'u0');
    wait(10_000);
    expect(sources.sweep()).toBe(0);
    report(true, 'late');
  });
});

describe('a connection that is shown who types', () => {
  function start() {
    let clock = 0;
    const receivers = createTypingReceivers(() => clock);
    const shown: { typist: string; isTyping: boolean; at: number }[] = [];
    const note = (typist: string, isTyping: boolean) => void shown.push({ typist, isTyping, at: clock });
    return {
      receivers,
      shown,
      begin: (typist: string) => {
        if (receivers.begin(['c'], typist).has('c')) note(typist, true);
      },
      end: (typist: string) => {
        if (receivers.end(['c'], typist).has('c')) note(typist, false);
      },
      wait(ms: number) {
        for (const until = clock + ms; clock < until; ) {
          clock += 200;
          for (const { typists } of receivers.settle()) for (const typist of typists) note(typist, false);
        }
      },
      most: () =>
        Math.max(...shown.map(({ at }) => shown.filter((other) => other.at >= at && other.at < at + 1_000).length)),
    };
  }

  test('gets 20 events a second at most, and each `false` that belongs to a `true` (G67)', () => {
    const { receivers, shown, begin, end, wait, most } = start();
    for (let second = 0; second < 8; second += 1) {
      for (let n = 0; n < 500; n += 1) begin(`g${n}\nu${second}`);
      wait(1_000);
    }
    for (let second = 0; second < 8; second += 1) for (let n = 0; n < 500; n += 1) end(`g${n}\nu${second}`);
    wait(20_000);
    const begun = shown.filter(({ isTyping }) => isTyping).map(({ typist }) => typist);
    const ended = shown.filter(({ isTyping }) => !isTyping).map(({ typist }) => typist);
    expect(begun.length).toBeGreaterThan(20);
    expect(new Set(begun).size).toBe(begun.length);
    expect(ended.toSorted()).toEqual(begun.toSorted());
    expect(most()).toBeLessThanOrEqual(20);
    expect(receivers.size).toBe(0);
  });

  test('goes on showing a typist who begins again before the `false` was sent', () => {
    const { shown, begin, end, wait } = start();
    for (let n = 0; n < 10; n += 1) begin(`u${n}`);
    end('u0');
    begin('u0');
    wait(5_000);
    expect(shown).toHaveLength(10);
    end('u0');
    expect(shown.at(-1)).toMatchObject({ typist: 'u0', isTyping: false });
  });

  test('is shown 50 at a time', () => {
    const { shown, begin, wait } = start();
    for (let n = 0; n < 100; n += 1) {
      begin(`u${n}`);
      wait(200);
    }
    expect(shown).toHaveLength(50);
  });

  test('is owed nothing of groups that it has left', () => {
    const { receivers, shown, begin, end, wait } = start();
    for (let n = 0; n < 10; n += 1) begin(`${n % 2 ? 'g' : 'h'}\nu${n}`);
    for (let n = 0; n < 10; n += 1) end(`${n % 2 ? 'g' : 'h'}\nu${n}`);
    receivers.forget('c', (typist) => typist.startsWith('g\n'));
    wait(5_000);
    const ended = shown.filter(({ isTyping }) => !isTyping).map(({ typist }) => typist);
    expect(ended.toSorted()).toEqual(['h\nu0', 'h\nu2', 'h\nu4', 'h\nu6', 'h\nu8']);
    expect(receivers.size).toBe(0);
  });
});

describe('a node whose members type', () => {
  const SECOND = 1_000;
  const MEMBERS = 100;

  function start() {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
    const io = new Server() as unknown as RelayServer;
    const { adapter } = io.of('/');
    const events: { to: string; userId: string; isTyping: boolean; at: number }[] = [];
    let lagMs = 0;
    const sender: Sender = {
      send(room, { payload }, exceptions) {
        const { userId, isTyping } = payload as { userId: string; isTyping: boolean };
        for (const to of adapter.rooms.get(room) ?? []) {
          if (!exceptions?.socketIds.includes(to)) events.push({ to, userId, isTyping, at: performance.now() });
        }
      },
      dialectsIn: () => [],
      forget: () => undefined,
      lagMs: () => lagMs,
      handedUpTo: () => NO_MARK,
    };
    const metrics = createRelayMetrics();
    const log = pino({ level: 'silent' });
    const transient = createTransient({ io, node: 'n', carrier: undefined, isTrusted: () => true, metrics, log });
    const typing = createTyping({ io, sender, transient });
    const ids = Array.from({ length: MEMBERS }, (_, n) => `u${n}`);
    for (const id of ids) void adapter.addAll(`s-${id}`, new Set(['group-g', `user-${id}`]));
    return {
      events,
      ids,
      report: (userId: string, isTyping: boolean) => typing.report(`s-${userId}`, { groupId: 'g', userId, isTyping }),
      lag(ms: number) {
        lagMs = ms;
      },
    };
  }
  afterEach(() => void vi.useRealTimers());

  test('shows everybody at most 20 events a second, and each that begins has an end (G67)', () => {
    const { events, ids, report } = start();
    for (let second = 0; second < 20; second += 1) {
      for (const id of ids) report(id, second % 3 !== 2);
      vi.advanceTimersByTime(SECOND);
    }
    vi.advanceTimersByTime(30 * SECOND);
    for (const id of ids) {
      const own = events.filter(({ to }) => to === `s-${id}`);
      expect(own.length).toBeGreaterThan(20);
      expect(own.filter(({ userId }) => userId === id)).toEqual([]);
      const most = Math.max(
        ...own.map(({ at }) => own.filter((each) => each.at >= at && each.at < at + SECOND).length),
      );
      expect(most).toBeLessThanOrEqual(20);
      const open = new Set<string>();
      for (const { userId, isTyping } of own) {
        expect(open.has(userId)).toBe(!isTyping);
        if (isTyping) open.add(userId);
        else open.delete(userId);
      }
      expect([...open]).toEqual([]);
    }
    expect(vi.getTimerCount()).toBe(0);
  });

  test('shows nobody new while members wait for other events, and that those who were shown have stopped (G66)', () => {
    const { events, report, lag } = start();
    report('u0', true);
    expect(events).toHaveLength(MEMBERS - 1);
    lag(21);
    report('u1', true);
    vi.advanceTimersByTime(SECOND);
    report('u0', false);
    vi.advanceTimersByTime(10 * SECOND);
    expect(events.filter(({ userId }) => userId === 'u1')).toEqual([]);
    expect(events.filter(({ isTyping }) => !isTyping)).toHaveLength(MEMBERS - 1);
    expect(vi.getTimerCount()).toBe(0);
  });
});

describe('a group in which hundreds type', () => {
  test('is looked through for those who are shown, and for no other typist', () => {
    const io = new Server() as unknown as RelayServer;
    const { adapter } = io.of('/');
    for (let n = 0; n < 1_000; n += 1) void adapter.addAll(`s${n}`, new Set(['group-g', `user-u${n}`]));
    const room = adapter.rooms.get('group-g') ?? new Set<string>();
    let walks = 0;
    const walk = room[Symbol.iterator].bind(room);
    room[Symbol.iterator] = () => {
      walks += 1;
      return walk();
    };
    let sent = 0;
    const sender = {
      send: () => void (sent += 1),
      dialectsIn: () => [],
      forget: () => undefined,
      lagMs: () => 0,
      handedUpTo: () => NO_MARK,
    };
    const metrics = { transientEvents: { inc: () => undefined } } as never;
    const transient = createTransient({
      io,
      node: 'n',
      carrier: undefined,
      isTrusted: () => true,
      metrics,
      log: {} as never,
    });
    const typing = createTyping({ io, sender, transient }, () => 0);
    for (let n = 0; n < 500; n += 1) typing.report(`s${n}`, { groupId: 'g', userId: `u${n}`, isTyping: true });
    typing.stop();
    expect(sent).toBeGreaterThan(0);
    // The others are looked for, and those of them who are not sent it.
    expect(walks).toBeLessThanOrEqual(2 * 10);
  });
});
