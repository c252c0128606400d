import type { JsonValue } from '@groupcast/shared';
import { Server } from 'socket.io';
import { expect, onTestFinished, test } from 'vitest';
import { createAudience } from '../src/conversation/audience.ts';
import { createReadCursors } from '../src/conversation/read-cursors.ts';
import { createSignals } from '../src/conversation/signals.ts';
import type { RelayServer } from '../src/sessions/session.ts';
import { createUserBudgets } from '../src/sessions/user-budgets.ts';
import { createTransient } from '../src/transient/transient.ts';

const CONNECTIONS = 1_000;
const groupIds = Array.from({ length: 1_000 }, (_, n) => `g${n}`);

/** A user with as many connections as one may have, all of them in all groups. */
function start() {
  const io = new Server() as unknown as RelayServer;
  const { adapter, sockets } = io.of('/');
  const groups = new Map(groupIds.map((groupId) => [groupId, 'token']));
  let written = 0;
  let encoded = 0;
  const client = { writeToEngine: () => void (written += 1) };
  const rooms = new Set(['user-u', ...groupIds.map((groupId) => `group-${groupId}`)]);
  for (let n = 0; n < CONNECTIONS; n += 1) {
    const socket = { id: `s${n}`, client, notifyOutgoingListeners: () => undefined };
    const emit = (): void => {
      encoded += 1;
      written += 1;
    };
    sockets.set(socket.id, { ...socket, emit, data: { session: { kind: 'user', userId: 'u', groups } } } as never);
    void adapter.addAll(socket.id, new Set([socket.id, ...rooms]));
  }
  const { encoder } = io as unknown as { encoder: { encode: (packet: object) => unknown[] } };
  const encode = encoder.encode.bind(encoder);
  encoder.encode = (packet) => {
    encoded += 1;
    return encode(packet);
  };
  const transient = createTransient({
    io,
    node: 'n',
    carrier: undefined,
    isTrusted: () => true,
    metrics: { transientEvents: { inc: () => undefined } } as never,
    log: {} as never,
  });
  const budgets = createUserBudgets(50, () => 0);
  onTestFinished(() => budgets.stop());
  const deps = { transient, audience: createAudience(io), budgets };
  return { deps, counts: () => ({ written, encoded }) };
}

test('reads of a user with many connections and groups are shown as far as the user’s budget goes', () => {
  const { deps, counts } = start();
  const { moved } = createReadCursors(deps);
  for (const groupId of groupIds) moved(groupId, 'u', 7, 's0');
  const { written, encoded } = counts();
  expect(written).toBeGreaterThanOrEqual(CONNECTIONS - 1);
  expect(written).toBeLessThanOrEqual(20 * CONNECTIONS);
  expect(encoded).toBeLessThanOrEqual(20);
});

test('reads that wait to be stored are few, the oldest makes room, and each is shown once, as it was stored', () => {
  const told: string[] = [];
  const tell = (_: string, { groupId, readSeq }: { groupId: string; readSeq: number }): void =>
    void told.push(`${groupId} ${readSeq}`);
  const transient = { tell, on: () => undefined } as unknown as ReturnType<typeof createTransient>;
  const { reported, stored } = createReadCursors({ ...start().deps, transient });
  const report = (groupId: string, readSeq: number): void =>
    reported({ groupId, userId: 'u', readSeq, head: 7, socketId: 's0' });
  report('g', 7);
  for (let n = 0; n <= 10_000; n += 1) report(`g${n}`, 900);
  const cursors = ['g', 'g0', 'g1', 'g10000'].map((groupId) => ({ groupId, userId: 'u', read: 8, said: 900 }));
  stored(cursors);
  stored(cursors);
  expect(told).toEqual(['g 7', 'g1 8', 'g10000 8']);
});

test('a read that waits is shown by the answer to its own report, to all but the connection that has named the furthest', () => {
  const told: unknown[] = [];
  const transient = {
    tell: (_: string, { readSeq, exceptSocketId }: { readSeq: number; exceptSocketId?: string }) =>
      void told.push([readSeq, exceptSocketId]),
    on: () => undefined,
  } as unknown as ReturnType<typeof createTransient>;
  const { reported, stored } = createReadCursors({ ...start().deps, transient });
  const report = (readSeq: number, socketId: string): void =>
    reported({ groupId: 'g', userId: 'u', readSeq, head: 7, socketId });
  const answer = (said: number): void => stored([{ groupId: 'g', userId: 'u', read: Math.min(said, 12), said }]);
  report(7, 's1');
  report(12, 's1');
  report(9, 's2');
  // The answer to the first report, which was shown at once.
  answer(7);
  expect(told).toEqual([[7, 's1']]);
  answer(12);
  answer(12);
  expect(told).toEqual([
    [7, 's1'],
    [12, 's1'],
  ]);
});

test('a signal to many connections is encoded once, and costs its sender what is written', async () => {
  const { deps, counts } = start();
  const { send } = createSignals(deps);
  const data: JsonValue = 'x'.repeat(60_000);
  const signal = { groupId: 'g0', fromUserId: 'v', kind: 'offer', data };
  expect(await send('u', signal, 's')).toBe(CONNECTIONS);
  expect(counts()).toEqual({ written: CONNECTIONS, encoded: 1 });
  expect(() => deps.budgets.of('v').takeWork(1)).toThrow('try again later');
});
