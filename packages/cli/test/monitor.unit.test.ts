import type { MonitorEvent, MonitorSnapshot, MonitorWarning } from '@groupcast/shared';
import { describe, expect, it } from 'vitest';
import { createConnectionTable } from '../src/monitor/connection-table.ts';
import { createFormatter } from '../src/monitor/format.ts';
import { createWarnings, isWarning } from '../src/monitor/warnings.ts';
import { createPaint } from '../src/terminal.ts';

const origin = { at: 0, node: 'n1' };
const connected = (socketId: string, userId: string, groups: string[]): MonitorEvent => ({
  ...origin,
  kind: 'connected',
  socketId,
  userId,
  transport: 'websocket',
  groups,
});
const disconnected = (socketId: string, userId: string): MonitorEvent => ({
  ...origin,
  kind: 'disconnected',
  socketId,
  userId,
  reason: 'transport close',
});
const broadcast = (groupId: string, connections = 1): MonitorEvent => ({
  ...origin,
  kind: 'broadcast',
  groupId,
  id: 'e1',
  event: 'new-message',
  position: { epoch: '1-a', seq: 7 },
  connections,
  duplicate: false,
});
const snapshot = (node: string, ...connections: MonitorSnapshot['connections']): MonitorSnapshot => ({
  node,
  at: 0,
  connections,
});
const connection = (socketId: string, userId: string, groups: string[]) => ({
  socketId,
  userId,
  transport: 'websocket',
  groups,
});

describe('connection table', () => {
  it('counts from the snapshot of each node and the events after it', () => {
    const table = createConnectionTable({});
    table.replaceNode(snapshot('n1', connection('a', 'alice', []), connection('b', 'bob', [])));
    table.replaceNode(snapshot('n2', connection('c', 'carol', [])));
    table.replaceNode(snapshot('n1', connection('a', 'alice', [])));
    expect(table.size).toBe(2);
    table.apply(connected('d', 'dave', []));
    table.apply(disconnected('c', 'carol'));
    expect(table.size).toBe(2);
    table.clear();
    expect(table.size).toBe(0);
  });

  it('shows of a group its connections, also as they leave, and its broadcasts', () => {
    const table = createConnectionTable({ groupId: 'g1' });
    const show = (event: MonitorEvent): boolean => {
      table.apply(event);
      return table.shows(event);
    };
    expect(show(connected('a', 'alice', ['g1', 'g2']))).toBe(true);
    expect(show(connected('b', 'bob', ['g2']))).toBe(false);
    expect(show({ ...origin, kind: 'joined', socketId: 'b', userId: 'bob', groupId: 'g1' })).toBe(true);
    expect(show(broadcast('g1'))).toBe(true);
    expect(show(broadcast('g2'))).toBe(false);
    expect(show(disconnected('b', 'bob'))).toBe(true);
    expect(show({ ...origin, kind: 'left', socketId: 'a', userId: 'alice', groupId: 'g1', reason: 'left' })).toBe(true);
    expect(show(disconnected('a', 'alice'))).toBe(false);
  });

  it('shows of a user their connections, and broadcasts to groups they are connected to', () => {
    const table = createConnectionTable({ userId: 'alice' });
    const show = (event: MonitorEvent): boolean => {
      table.apply(event);
      return table.shows(event);
    };
    expect(show(broadcast('g1'))).toBe(false);
    expect(show(connected('a', 'alice', ['g1']))).toBe(true);
    expect(show(connected('b', 'bob', ['g1', 'g2']))).toBe(false);
    expect(show(broadcast('g1'))).toBe(true);
    expect(show(broadcast('g2'))).toBe(false);
    expect(show(disconnected('b', 'bob'))).toBe(false);
    expect(show(disconnected('a', 'alice'))).toBe(true);
    expect(show(broadcast('g1'))).toBe(false);
  });

  it('shows always what names nobody, and selects from a snapshot', () => {
    const table = createConnectionTable({ groupId: 'g1', userId: 'alice' });
    expect(table.shows({ ...origin, kind: 'refused', code: 'TOKEN_INVALID', message: 'no' })).toBe(true);
    expect(table.shows({ ...origin, kind: 'warning', code: 'X', message: 'no' })).toBe(true);
    expect(table.shows({ ...origin, kind: 'warning', code: 'X', message: 'no', groupId: 'g2' })).toBe(false);
    const ofUser = (filter: string, user: string, more: object = {}): boolean =>
      createConnectionTable({ userId: filter }).shows({
        ...origin,
        kind: 'warning',
        code: 'X',
        message: 'no',
        userId: user,
        ...more,
      });
    expect([ofUser('u9', 'u9'), ofUser('u9', 'u1'), ofUser('u9', 'u9', { groupId: 'g2' })]).toEqual([
      true,
      false,
      true,
    ]);
    const all = snapshot(
      'n1',
      connection('a', 'alice', ['g1']),
      connection('b', 'alice', []),
      connection('c', 'bob', ['g1']),
    );
    expect(table.select(all).map(({ socketId }) => socketId)).toEqual(['a']);
  });
});

describe('monitor lines', () => {
  const plain = createFormatter((_style, text) => text);

  it('has time, kind, and name=value', () => {
    expect(plain.event(broadcast('g1', 3), 5)).toMatch(
      /^\d\d:\d\d:\d\d\.\d{3} broadcast {5}group=g1 event=new-message id=e1 position=1-a:7 connections=3$/,
    );
    expect(plain.event(disconnected('s', 'bob'), 4)).toMatch(
      /user=bob socket=s reason="transport close" connections=4$/,
    );
    expect(plain.event(connected('s', 'bob', ['1', '2', '3', '4', '5', '6']), 1)).toContain('groups=1,2,3,4,5,+1');
  });

  it('warns of a broadcast that reached nobody, not of a duplicate', () => {
    expect(plain.event(broadcast('g1', 0), 5)).toContain('! nobody is in this group');
    const duplicate: MonitorEvent = { ...broadcast('g1', 0), duplicate: true } as MonitorEvent;
    expect(plain.event(duplicate, 5)).not.toContain('!');
  });

  it('sums a snapshot up and lists at most 20 connections', () => {
    const many = Array.from({ length: 25 }, (_, index) => connection(`s${index}`, `u${index % 5}`, ['g1']));
    const lines = plain.snapshot(snapshot('n1', ...many), many, false);
    expect(lines[0]).toContain('node=n1 connections=25 users=5 groups=1');
    expect(lines).toHaveLength(22);
    expect(lines.at(-1)).toContain('and 5 more');
  });

  it('lets no control character of others reach the terminal', () => {
    const line = plain.event({ ...origin, kind: 'refused', code: 'X', message: '\u001b[2J\nfake line\u202e' }, 0);
    expect(line).toMatch(/X \uFFFD\[2J\uFFFDfake line\uFFFD$/);
    expect(line).not.toMatch(/[\p{Cc}\p{Cf}]/u);
  });
});

describe('warnings', () => {
  const warning = (at: number, code: string): MonitorWarning => ({
    at,
    node: 'n1',
    kind: 'warning',
    code,
    message: 'm',
  });

  it('are told once, in order, also where several snapshots have them, and counted by code', () => {
    const warnings = createWarnings();
    expect(warnings.takeNew([warning(2, 'A'), warning(1, 'B')]).map(({ at }) => at)).toEqual([1, 2]);
    expect(warnings.takeNew([warning(1, 'B'), warning(3, 'A')]).map(({ at }) => at)).toEqual([3]);
    const counts = warnings.takeCounts();
    expect([...counts]).toEqual([
      ['A', 2],
      ['B', 1],
    ]);
    expect(warnings.takeCounts().size).toBe(0);
    const line = createFormatter((_style, text) => text).warnings(0, counts);
    expect(line).toMatch(/ warnings {6}count=3 A=2 B=1$/);
  });

  it('are refusals and broadcasts that reached nobody as well, and duplicates are none', () => {
    expect(isWarning(warning(0, 'A'))).toBe(true);
    expect(isWarning({ ...origin, kind: 'refused', code: 'X', message: 'no' })).toBe(true);
    expect(isWarning(broadcast('g1', 0))).toBe(true);
    expect(isWarning(broadcast('g1', 1))).toBe(false);
    expect(isWarning({ ...broadcast('g1', 0), duplicate: true } as MonitorEvent)).toBe(false);
    expect(isWarning(connected('a', 'alice', []))).toBe(false);
  });
});

describe('colours', () => {
  const on = (isTTY: boolean, env: Record<string, string>): boolean =>
    createPaint({ write: () => true, isTTY }, env)('red', 'x') !== 'x';

  it.each([
    [true, {}, true],
    [false, {}, false],
    [true, { NO_COLOR: '1' }, false],
    [true, { NO_COLOR: '' }, true],
    [true, { TERM: 'dumb' }, false],
    [false, { FORCE_COLOR: '1' }, true],
    [false, { FORCE_COLOR: '' }, true],
    [true, { FORCE_COLOR: '0' }, false],
    [false, { FORCE_COLOR: '1', NO_COLOR: '1' }, true],
  ] as const)('terminal %s with %j: %s', (isTTY, env, expected) => {
    expect(on(isTTY, env)).toBe(expected);
  });
});
