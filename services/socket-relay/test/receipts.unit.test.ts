import { GroupcastError } from '@groupcast/shared';
import { pino } from 'pino';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { createReceipts, type Receipts } from '../src/conversation/receipts.ts';
import { storedCursors } from '../src/conversation/stored-cursors.ts';
import type { Transient } from '../src/transient/transient.ts';
import { createCursorForwarder } from '../src/upstream/cursor-forwarder.ts';
import { CallFailure } from '../src/upstream/transport.ts';

const log = pino({ level: 'silent' });
let told: { event: string; users: string[] }[];
let isTrusted: boolean;
let receipts: Receipts;

beforeEach(() => {
  vi.useFakeTimers();
  told = [];
  isTrusted = true;
  const transient = {
    tell(event: string, { users }: { users: object }) {
      if (!isTrusted) throw new Error('nothing may be shown');
      told.push({ event, users: Object.keys(users) });
    },
    on: () => undefined,
  } as unknown as Transient;
  const audience = { of: () => new Set(), ofUser: () => [] } as never;
  receipts = createReceipts(
    {
      transient,
      audience,
      sender: {} as never,
      isTrusted: () => isTrusted,
      showStatus: () => undefined,
      usersHere: () => 2,
      log,
    },
    () => Date.now(),
  );
});
afterEach(() => {
  receipts.stop();
  vi.useRealTimers();
});

test('receipts wait while this relay may show nothing, merged, and are shown once it may', () => {
  isTrusted = false;
  receipts.stored([{ groupId: 'g', userId: 'alice', read: 1 }], {});
  vi.advanceTimersByTime(5_000);
  receipts.stored([{ groupId: 'g', userId: 'bob', read: 2 }], {});
  expect(told).toEqual([]);
  isTrusted = true;
  vi.advanceTimersByTime(1_000);
  expect(told).toEqual([{ event: 'receipt', users: ['alice', 'bob'] }]);
});

test('nobody is shown a cursor of a user of whom the back end says that they are no member', () => {
  const updates = ['g', 'h'].flatMap((groupId) =>
    ['alice', 'bob'].map((userId) => ({ groupId, userId, read: 9, received: undefined })),
  );
  const groups = { g: { memberCount: 1, seq: 7, notMembers: ['bob'] } };
  // A back end that says nothing about it is taken at its word.
  const stored = storedCursors(updates, groups);
  expect(stored).toMatchObject([{ ...updates[0], read: 7 }, { ...updates[2] }, { ...updates[3] }]);
  expect(stored[0]?.said).toBe(updates[0]?.read);
  expect(storedCursors(updates, undefined)).toMatchObject(updates);
});

test('numbers for the senders of a large group go out a hundred senders at a time', () => {
  const counts = Array.from({ length: 250 }, (_, n) => ({ userId: `u${n}`, seq: 1, received: 1, read: 1 }));
  receipts.stored([{ groupId: 'g', userId: 'u', read: 1 }], { g: { memberCount: 1_000, counts } });
  vi.advanceTimersByTime(10_000);
  expect(told.map(({ event, users }) => [event, users.length])).toEqual([
    ['receipt-counts', 100],
    ['receipt-counts', 100],
    ['receipt-counts', 50],
  ]);
});

test('cursors that wait are sent in as many requests as it takes when the relay stops', async () => {
  vi.useRealTimers();
  const sizes: number[] = [];
  const api = {
    async storeCursors({ cursors }: { cursors: readonly unknown[] }) {
      sizes.push(cursors.length);
      return {};
    },
  };
  const forwarder = createCursorForwarder({ api, onStored: () => undefined, log });
  for (let n = 0; n < 2_500; n += 1) forwarder.report(`u${n}`, 'g', { read: 1 });
  await forwarder.stop();
  expect(sizes).toEqual([1_000, 1_000, 500]);
});

test('cursors for a back end that keeps none are dropped, and it is asked again a minute later', async () => {
  const asked: unknown[] = [];
  const api = {
    async storeCursors({ cursors }: { cursors: readonly { userId: string }[] }): Promise<object> {
      asked.push(cursors.map(({ userId }) => userId));
      const cause = new CallFailure('not-offered', 'it answered 404');
      throw new GroupcastError('API_UNAVAILABLE', 'unable to ask the API; it does not offer it', { cause });
    },
  };
  const lines: string[] = [];
  const heard = pino({ level: 'warn' }, { write: (line: string) => void lines.push(line) });
  const forwarder = createCursorForwarder({ api, onStored: () => undefined, log: heard });
  forwarder.report('alice', 'g', { read: 1 });
  await vi.advanceTimersByTimeAsync(2_000);
  forwarder.report('bob', 'g', { read: 1 });
  await vi.advanceTimersByTimeAsync(30_000);
  expect(asked).toEqual([['alice']]);
  await vi.advanceTimersByTimeAsync(31_000);
  forwarder.report('carol', 'g', { read: 1 });
  await vi.advanceTimersByTimeAsync(1_000);
  expect(asked).toEqual([['alice'], ['carol']]);
  expect(lines).toEqual([]);
  await forwarder.stop();
});
