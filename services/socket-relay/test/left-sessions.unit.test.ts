import { nativeDialect } from '@groupcast/dialects';
import { beforeEach, describe, expect, test } from 'vitest';
import { createLeftSessions, type LeftSessions, SESSION_WINDOW_MS } from '../src/comebacks/left-sessions.ts';
import { createDeliveries, type Deliveries } from '../src/fan-out/deliveries.ts';
import { becauseOf } from '../src/sessions/in-group.ts';
import { createMarks, type Marks } from '../src/sessions/marks.ts';
import { createOffsets } from '../src/sessions/offsets.ts';
import type { RelayServer, UserSocket } from '../src/sessions/session.ts';
import { offsetOf } from '../src/sessions/tell.ts';

const EPOCH = '1-a';

describe('sessions of connections that have gone', () => {
  const offsets = createOffsets('ours-is');
  let marks: Marks;
  let deliveries: Deliveries;
  let sessions: LeftSessions;
  let time: number;
  let proven: number;
  const heads = new Map<string, number>();

  beforeEach(() => {
    time = 0;
    proven = 0;
    heads.clear();
    marks = createMarks();
    deliveries = createDeliveries(marks, { max: 8 });
    const cursor = (groupId: string) => ({ epoch: EPOCH, seq: heads.get(groupId) ?? 0 });
    const io = { of: () => ({ sockets: new Map() }) } as unknown as RelayServer;
    sessions = createLeftSessions(
      io,
      { offsets, marks, deliveries, fanOut: { cursor }, heartbeat: { provenOf: () => ({ upTo: proven, at: 0 }) } },
      () => time,
    );
  });

  /** A connection that has been in these groups since these deliveries. */
  function socketOf(id: string, groups: Readonly<Record<string, number>>, userId = 'alice'): UserSocket {
    const places = Object.entries(groups).map(
      ([groupId, since]) => [groupId, becauseOf({ admission: 'api', since }, 'api')] as const,
    );
    const session = { kind: 'user', userId, dialect: nativeDialect(), groups: new Map(places), claims: { groups: [] } };
    const socket = { id, data: { session } } as unknown as UserSocket;
    sessions.name(socket);
    return socket;
  }
  function deliver(groupId: string, position = true): number {
    heads.set(groupId, (heads.get(groupId) ?? 0) + 1);
    const at = position ? { epoch: EPOCH, seq: heads.get(groupId) ?? 0 } : null;
    deliveries.record(groupId, { event: 'new-message', id: String(marks.last), payload: {}, position: at }, {});
    return marks.last;
  }
  const seqsOf = (id: string, offset?: string, userId = 'alice'): Record<string, number | undefined> | undefined => {
    const found = sessions.find({ userId, sessionId: `ours-is.${id}`, offset });
    return found && Object.fromEntries(found.groups.map(([groupId, position]) => [groupId, position?.seq]));
  };

  test('stand in each group where the last delivery that was read says', () => {
    const socket = socketOf('s', { g: 0, h: 0, quiet: 0 });
    deliver('g');
    const read = deliver('h');
    deliver('g');
    deliver('h');
    sessions.leaving(socket, true);
    expect(seqsOf('s', offsets.at(read))).toEqual({ g: 1, h: 1, quiet: 0 });
    expect(seqsOf('s')).toEqual({ g: 0, h: 0, quiet: 0 });
    expect(seqsOf('s', offsets.at(marks.last))).toEqual({ g: 2, h: 2, quiet: 0 });
  });

  test('begin in a group where they came into it, whatever went by before', () => {
    deliver('g');
    deliver('g');
    const socket = socketOf('s', { g: marks.last });
    sessions.leaving(socket, true);
    expect(seqsOf('s', offsets.at(1))).toEqual({ g: 2 });
    deliver('g');
    expect(seqsOf('s')).toEqual({ g: 2 });
  });

  test.each<[string, (read: number) => string]>([
    ['another process', (read) => createOffsets('anothe9').at(read)],
    ['no process at all', () => 'ours-is.?'],
    [
      'events that were given again, of which there are none',
      (read) => offsets.amongMissed(read, { index: 0, seq: 1 }),
    ],
  ])('are not known exactly by an offset of %s', (_, made) => {
    const socket = socketOf('s', { g: 0 });
    const read = deliver('g');
    sessions.leaving(socket, true);
    expect(seqsOf('s', made(read))).toBeUndefined();
  });

  test('are not known exactly after an event without a position, or once too many have gone by', () => {
    const socket = socketOf('s', { g: 0, h: 0 });
    const read = deliver('g');
    sessions.leaving(socket, true);
    for (let n = 0; n < 6; n += 1) deliver('other');
    expect(seqsOf('s', offsets.at(read))).toEqual({ g: 1, h: 0 });
    deliver('h', false);
    expect(seqsOf('s', offsets.at(read))).toBeUndefined();
    expect(seqsOf('s', offsets.at(marks.last))).toEqual({ g: 1, h: 0 });
    for (let n = 0; n < 9; n += 1) deliver('other');
    expect(seqsOf('s', offsets.at(read))).toBeUndefined();
  });

  test('are forgotten after two minutes, and the oldest where there are too many', () => {
    sessions.leaving(socketOf('old', { g: 0 }), true);
    time = SESSION_WINDOW_MS;
    sessions.leaving(socketOf('young', { g: 0 }), true);
    expect([seqsOf('old'), seqsOf('young')]).toEqual([undefined, { g: 0 }]);
    const groups = Object.fromEntries(Array.from({ length: 2_000 }, (_, n) => [`g${n}`, 0]));
    for (let n = 0; n < 100; n += 1) sessions.leaving(socketOf(`large-${n}`, groups, `user-${n}`), true);
    expect([
      seqsOf('young'),
      seqsOf('large-0', undefined, 'user-0') === undefined,
      seqsOf('large-99', undefined, 'user-99') === undefined,
    ]).toEqual([undefined, false, false]);
  });

  test('of one user are kept a few, and take none of another’s away', () => {
    sessions.leaving(socketOf('other', { g: 0 }, 'bob'), true);
    for (let n = 0; n < 30; n += 1) sessions.leaving(socketOf(`s${n}`, { g: 0 }), true);
    expect([seqsOf('s9'), seqsOf('s10'), seqsOf('other', undefined, 'bob')]).toEqual([undefined, { g: 0 }, { g: 0 }]);
  });

  test('are not kept where the client has ended the connection', () => {
    sessions.leaving(socketOf('s', { g: 0 }), false);
    expect(seqsOf('s')).toBeUndefined();
  });

  test('are handed over once', () => {
    sessions.leaving(socketOf('s', { g: 0 }), true);
    const asked = { userId: 'alice', sessionId: 'ours-is.s' };
    expect([sessions.handOver(asked)?.groups, sessions.handOver(asked)]).toEqual([
      [['g', { epoch: EPOCH, seq: 0 }]],
      undefined,
    ]);
  });

  test('know what went by before the connection had left, and nothing of what came later', () => {
    const socket = socketOf('s', { g: 0 });
    sessions.leaving(socket, true);
    // Two go by while nobody here is in the group.
    heads.set('g', 2);
    deliver('g');
    expect(seqsOf('s')).toEqual({ g: 0 });
  });

  test('of a quiet client stand where its last answer to a ping has proven', () => {
    const socket = socketOf('s', { g: 0 });
    const read = deliver('g');
    for (let n = 0; n < 20; n += 1) deliver('other');
    proven = marks.last;
    sessions.leaving(socket, true);
    expect(seqsOf('s', offsets.at(read))).toEqual({ g: 1 });
  });

  test('are not known exactly by an event that was told in part, but where the rest was not for everybody', () => {
    const socket = socketOf('s', { g: 0 });
    const read = offsets.at(deliver('g'));
    sessions.leaving(socket, true);
    const saying = { name: 'x', payload: {}, exceptSender: false };
    const sayings = [saying, { ...saying, only: ['bob'] }, saying, { ...saying, only: ['alice'] }];
    const told = sayings.map((_, index) => seqsOf('s', offsetOf(sayings, index, read)));
    expect(told).toEqual([undefined, undefined, { g: 1 }, { g: 1 }]);
  });
});
