import { loadDialect } from '@groupcast/dialects';
import { until } from '@groupcast/testing';
import { pino } from 'pino';
import { Server } from 'socket.io';
import { expect, test } from 'vitest';
import { createMessageStatus } from '../src/conversation/message-status.ts';
import type { LogPage } from '../src/group-log/group-log.ts';
import { NO_MARK } from '../src/sessions/marks.ts';

function start() {
  const { dialect } = loadDialect('underscore-message');
  if (!dialect) throw new Error('there is no such dialect');
  const said: [userId: string, status: string, messageId: string][] = [];
  const reads: number[] = [];
  const held: (() => void)[] = [];
  const state = { isTrusted: true };
  const show = createMessageStatus({
    io: new Server() as never,
    sender: {
      dialectsIn: () => [dialect],
      forget: () => undefined,
      lagMs: () => 0,
      handedUpTo: () => NO_MARK,
      send(_room, { payload }) {
        const { userId, status, messageId } = payload as Record<'userId' | 'status' | 'messageId', string>;
        said.push([userId, status, messageId]);
      },
    },
    groupLog: {
      async read(_groupId, afterSeq, limit) {
        const seq = afterSeq + limit;
        reads.push(seq);
        await new Promise<void>((resolve) => held.push(resolve));
        return { events: [{ event: 'new-message', id: `m${seq}`, seq, senderId: 'eve' }] } as unknown as LogPage;
      },
    },
    isTrusted: () => state.isTrusted,
    log: pino({ level: 'silent' }),
  });
  return { show, said, reads, held, state };
}

test('the log is read once for users who are equally far, and what comes meanwhile waits, merged', async () => {
  const { show, said, reads, held } = start();
  show('g', { alice: { read: 60 }, bob: { read: 60 } });
  for (let seq = 61; seq <= 90; seq += 1) show('g', { alice: { read: seq } });
  show('g', { carol: { received: 90 } });
  expect(reads).toEqual([60]);
  held.shift()?.();
  await until('the next question', () => reads.length === 2);
  held.shift()?.();
  await until('all of it', () => said.length === 4);
  expect(reads).toEqual([60, 90]);
  expect(said).toEqual([
    ['alice', 'read', 'm60'],
    ['bob', 'read', 'm60'],
    ['alice', 'read', 'm90'],
    ['carol', 'delivered', 'm90'],
  ]);
});

test('a relay that lost its lease while it read says nothing', async () => {
  const { show, said, reads, held, state } = start();
  show('g', { alice: { read: 60 } });
  state.isTrusted = false;
  held.shift()?.();
  show('g', { bob: { read: 70 } });
  await until('the next question', () => reads.length === 2);
  state.isTrusted = true;
  held.shift()?.();
  await until('what may be said', () => said.length === 1);
  expect(said).toEqual([['bob', 'read', 'm70']]);
});
