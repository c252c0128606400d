import type { GroupEvent, JsonObject, Position } from '@groupcast/shared';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { AppendOutcome, GroupLog } from '../src/group-log/group-log.ts';

export interface GroupLogLimits {
  size: number;
  bytes: number;
  ttlMs: number;
  totalBytes: number;
}

export interface GroupLogBackend {
  create: (limits: GroupLogLimits) => GroupLog | Promise<GroupLog>;
  /** Lets as much time pass as the events live, and a little more. */
  outlive: (limits: GroupLogLimits) => void | Promise<void>;
  /** How long events live in the test of that; where time cannot be moved, briefly. */
  ttlMs?: number;
}

/** The promises of every backend of the group log. */
export function describeGroupLog(backend: string, { create, outlive, ttlMs = 60_000 }: GroupLogBackend): void {
  describe(`group log on ${backend}`, () => {
    const limits: GroupLogLimits = { size: 10, bytes: 100_000, ttlMs, totalBytes: 1_000_000 };
    let log: GroupLog;

    beforeEach(async () => {
      log = await create(limits);
    });
    afterEach(async () => {
      await log.close();
    });

    async function append(id: string, position?: Position, message: JsonObject = { text: id }): Promise<AppendOutcome> {
      const input = { groupId: 'g', id, event: 'new-message', message, ...(position ? { position } : {}) };
      const { nodes: _, ...outcome } = { nodes: 0, ...(await log.append(input)) };
      return outcome;
    }
    const at = (seq: number, epoch = '1-a'): Position => ({ epoch, seq });
    const seqs = (events: readonly GroupEvent[]): number[] => events.map(({ seq }) => seq);

    test('a group nobody wrote to has no position', async () => {
      expect(await log.head('g')).toBeNull();
      expect(await log.read('g', 0, 10)).toEqual({
        head: null,
        floor: 0,
        events: [],
        exceptUserIds: new Map(),
        lastSeq: 0,
        more: false,
        newsAfter: 0,
      });
    });

    describe('for publishers that send no position', () => {
      test('keeps of brief events the last one alone', async () => {
        const brief = async (id: string) =>
          log.append({ groupId: 'g', id, event: 'canary', message: {}, isBrief: true });
        const outcomes = [await brief('a'), await brief('b'), await brief('c')];
        const epoch = (await log.head('g'))?.epoch ?? '';
        expect(outcomes).toMatchObject([1, 2, 3].map((seq) => ({ outcome: 'appended', position: { epoch, seq } })));
        const { floor, events } = await log.read('g', 0, 10);
        expect([floor, seqs(events)]).toEqual([2, [3]]);
      });

      test('numbers events 1, 2, 3 in one epoch', async () => {
        const outcomes = [await append('a'), await append('b'), await append('c')];
        const epoch = (await log.head('g'))?.epoch ?? '';
        expect(epoch).toMatch(/^\d+-\w+$/);
        expect(outcomes).toEqual([1, 2, 3].map((seq) => ({ outcome: 'appended', position: { epoch, seq } })));
      });

      test('knows an id it has seen, and says where it stands (G3)', async () => {
        await append('a');
        const first = await append('b');
        await append('c');
        expect(await append('b')).toMatchObject({ ...first, outcome: 'duplicate', head: { seq: 3 } });
        expect((await log.head('g'))?.seq).toBe(3);
      });

      test('keeps appends that are called together in the order of the calls', async () => {
        await Promise.all(['a', 'b', 'c', 'd'].map(async (id) => append(id)));
        const { events } = await log.read('g', 0, 10);
        expect(events.map(({ id }) => id)).toEqual(['a', 'b', 'c', 'd']);
      });

      test('keeps nothing in a group whose positions are the publisher’s', async () => {
        await append('a', at(1));
        expect(await append('b')).toEqual({ outcome: 'unpositioned' });
        expect(await log.head('g')).toEqual(at(1));
      });
    });

    describe('for a publisher that is the authority of positions', () => {
      test('an empty log accepts any first position', async () => {
        expect(await append('x', at(42))).toEqual({ outcome: 'appended', position: at(42) });
        expect(await log.read('g', 0, 10)).toMatchObject({ floor: 41, head: at(42) });
      });

      test('accepts exactly the next position', async () => {
        await append('a', at(1));
        expect(await append('b', at(2))).toEqual({ outcome: 'appended', position: at(2) });
        expect(await append('d', at(4))).toEqual({ outcome: 'gap', head: at(2) });
        expect(await append('c', at(3))).toEqual({ outcome: 'appended', position: at(3) });
      });

      test('the same id at its position is a duplicate, another id a conflict', async () => {
        await append('a', at(1));
        await append('b', at(2));
        expect(await append('a', at(1))).toEqual({ outcome: 'duplicate', position: at(1), head: at(2) });
        expect(await append('z', at(2))).toEqual({ outcome: 'conflict', head: at(2) });
      });

      test('below the floor every position is a duplicate, however old (G3)', async () => {
        for (let seq = 1; seq <= 25; seq += 1) await append(`m${seq}`, at(seq));
        expect(await append('m3', at(3))).toEqual({ outcome: 'duplicate', position: at(3), head: at(25) });
        expect(await append('anything', at(2))).toEqual({ outcome: 'duplicate', position: at(2), head: at(25) });
      });

      test('a higher generation replaces the log, a lower or equal one is a conflict', async () => {
        await append('a', at(1));
        await append('b', at(2));
        expect(await append('c', at(2, '2-b'))).toEqual({ outcome: 'appended', position: at(2, '2-b') });
        expect(await log.read('g', 0, 10)).toMatchObject({ floor: 1, head: at(2, '2-b'), events: [{ id: 'c' }] });
        expect(await append('d', at(3))).toEqual({ outcome: 'conflict', head: at(2, '2-b') });
        expect(await append('d', at(3, '2-other'))).toEqual({ outcome: 'conflict', head: at(2, '2-b') });
      });

      test('generations compare as numbers', async () => {
        await append('a', at(1, '9-a'));
        expect(await append('b', at(1, '10-a'))).toMatchObject({ outcome: 'appended' });
      });

      test('cannot take over an epoch that the relay numbers', async () => {
        await append('a');
        const head = await log.head('g');
        expect(await append('b', { epoch: head?.epoch ?? '', seq: 2 })).toEqual({ outcome: 'conflict', head });
      });
    });

    describe('reading', () => {
      test('returns the events as the socket shows them, plus their name, with the envelope winning', async () => {
        await append('a', at(1), { text: 'hi', id: 'forged', groupId: 'other', seq: 99, event: 'forged' });
        const { events } = await log.read('g', 0, 10);
        expect(events).toEqual([{ text: 'hi', event: 'new-message', id: 'a', groupId: 'g', epoch: '1-a', seq: 1 }]);
      });

      test('pages from a position, oldest first, and says whether there is more', async () => {
        for (let seq = 1; seq <= 7; seq += 1) await append(`m${seq}`, at(seq));
        const first = await log.read('g', 2, 3);
        expect([seqs(first.events), first.more]).toEqual([[3, 4, 5], true]);
        const second = await log.read('g', 5, 3);
        expect([seqs(second.events), second.more]).toEqual([[6, 7], false]);
        expect((await log.read('g', 7, 3)).events).toEqual([]);
      });

      test('stays contiguous up to the head while it is trimmed', async () => {
        for (let seq = 1; seq <= 95; seq += 1) await append(`m${seq}`, at(seq));
        const { floor, head, events } = await log.read('g', 0, 1_000);
        expect(head).toEqual(at(95));
        expect(events.length).toBeLessThanOrEqual(limits.size);
        expect(seqs(events)).toEqual(Array.from({ length: 95 - floor }, (_, index) => floor + 1 + index));
      });
    });

    describe('filled from what came before', () => {
      const event = (seq: number, epoch = '1-a'): GroupEvent => ({
        event: 'e',
        id: `m${seq}`,
        groupId: 'g',
        epoch,
        seq,
      });
      const events = (from: number, to: number): GroupEvent[] =>
        Array.from({ length: to - from + 1 }, (_, index) => event(from + index));

      test('an empty log begins with it, and goes on after it', async () => {
        await log.backfill('g', at(7), events(3, 7));
        expect(await log.read('g', 0, 10)).toMatchObject({ head: at(7), floor: 2 });
        expect(await append('m7', at(7))).toMatchObject({ outcome: 'duplicate' });
        expect(await append('other', at(7))).toMatchObject({ outcome: 'conflict' });
        expect(await append('m9', at(9))).toMatchObject({ outcome: 'gap' });
        expect(await append('m8', at(8))).toMatchObject({ outcome: 'appended' });
      });

      test('a position without events is a beginning too', async () => {
        await log.backfill('g', at(7), []);
        expect(await log.read('g', 7, 10)).toMatchObject({ head: at(7), floor: 7, events: [] });
      });

      test('a log that has begun gets what is below its floor, and nothing else', async () => {
        await append('m6', at(6));
        await append('m7', at(7));
        await log.backfill('g', at(6), [...events(3, 5), { ...event(6), id: 'late and different' }]);
        const page = await log.read('g', 0, 10);
        expect([page.floor, page.events.map(({ id }) => id)]).toEqual([2, ['m3', 'm4', 'm5', 'm6', 'm7']]);
        await log.backfill('g', at(1), [event(1)]);
        expect((await log.read('g', 0, 10)).floor).toBe(2);
      });

      test('events that do not join on, or are of another epoch, are ignored', async () => {
        await append('m6', at(6));
        await log.backfill('g', at(4), events(3, 4));
        await log.backfill('g', at(5, '0-z'), [event(5, '0-z')]);
        expect(await log.read('g', 0, 10)).toMatchObject({ floor: 5, head: at(6) });
      });

      test('brings no words back that were deleted since it was read', async () => {
        await log.append({
          groupId: 'g',
          id: 'd',
          event: 'message-deleted',
          message: { messageId: 'm6' },
          position: at(7),
        });
        await log.backfill('g', at(6), [{ ...event(6), event: 'new-message', content: 'secret' }]);
        expect(JSON.stringify(await log.read('g', 0, 10))).not.toContain('secret');
      });

      test('… in whatever order, for messages, edits and deletions of the fill itself', async () => {
        const about = (seq: number, name: string, messageId: string): GroupEvent => ({
          ...event(seq),
          event: name,
          messageId,
          content: name === 'message-updated' ? `secret ${seq}` : '',
        });
        const said = (seq: number): GroupEvent => ({ ...event(seq), event: 'new-message', content: `secret ${seq}` });
        await append('m8', at(8), { content: 'stays' });
        await log.append({
          groupId: 'g',
          id: 'm9',
          event: 'message-deleted',
          message: { messageId: 'm3' },
          position: at(9),
        });
        await log.backfill('g', at(7), [
          said(1),
          said(3),
          about(4, 'message-updated', 'm3'),
          about(5, 'message-deleted', 'm2'),
          about(6, 'message-updated', 'm2'),
          about(7, 'message-updated', 'm8'),
        ]);
        const { events: held } = await log.read('g', 0, 10);
        expect(held.map(({ seq, content = '' }) => `${seq} ${String(content)}`.trim())).toEqual([
          '3',
          '4',
          '5',
          '6',
          '7 secret 7',
          '8 stays',
          '9',
        ]);
      });

      test('is no news: that begins with what was appended (G30)', async () => {
        await log.backfill('g', at(7), events(3, 7));
        expect((await log.read('g', 0, 0)).newsAfter).toBe(7);
        await append('m8', at(8));
        expect((await log.read('g', 0, 0)).newsAfter).toBe(7);
        await append('n2', at(2, '2-b'));
        expect((await log.read('g', 0, 0)).newsAfter).toBe(1);
      });

      test('is no news in a log that had begun before either', async () => {
        await append('m6', at(6));
        await append('m7', at(7));
        await log.backfill('g', at(6), events(3, 5));
        expect(await log.read('g', 0, 0)).toMatchObject({ floor: 2, newsAfter: 5 });
        for (let seq = 8; seq <= 30; seq += 1) await append(`m${seq}`, at(seq));
        expect((await log.read('g', 0, 0)).newsAfter).toBe(5);
      });

      test('never holds more than the bounds', async () => {
        await log.backfill('g', at(40), events(1, 40));
        const page = await log.read('g', 0, 100);
        expect(page.events.length).toBeLessThanOrEqual(limits.size);
        expect(seqs(page.events)).toEqual(
          Array.from({ length: 40 - page.floor }, (_, index) => page.floor + 1 + index),
        );
      });
    });

    test('an event that left a user out is not in what that user reads', async () => {
      await append('a', at(1));
      await log.append({ groupId: 'g', id: 'b', event: 'e', message: {}, position: at(2), exceptUserId: 'alice' });
      const forAlice = await log.read('g', 0, 10, 'alice');
      expect([seqs(forAlice.events), forAlice.lastSeq, forAlice.more]).toEqual([[1], 2, false]);
      expect(seqs((await log.read('g', 0, 10, 'bob')).events)).toEqual([1, 2]);
      expect([...(await log.read('g', 0, 10)).exceptUserIds]).toEqual([[2, 'alice']]);
    });

    test('a deleted message leaves its place, not its words (G16)', async () => {
      await append('m1', at(1), { content: 'a secret', senderId: 'alice' });
      await log.append({
        groupId: 'g',
        id: 'u1',
        event: 'message-updated',
        message: { messageId: 'm1', content: 'another secret' },
        position: at(2),
      });
      await append('m3', at(3), { content: 'stays' });
      await log.append({
        groupId: 'g',
        id: 'd1',
        event: 'message-deleted',
        message: { messageId: 'm1' },
        position: at(4),
      });
      const { events } = await log.read('g', 0, 10);
      expect(seqs(events)).toEqual([1, 2, 3, 4]);
      expect(JSON.stringify(events)).not.toContain('secret');
      expect(events[0]).toMatchObject({ id: 'm1', senderId: 'alice', content: '', deleted: true });
      expect(events[2]).toMatchObject({ content: 'stays' });
    });

    test('… its edits too, and whatever else has its id; those of others stay', async () => {
      const edit = async (seq: number, messageId: string): Promise<unknown> =>
        log.append({
          groupId: 'g',
          id: `u${seq}`,
          event: 'message-updated',
          message: { nested: { messageId: 'm1' }, content: `edit ${seq}`, messageId },
          position: at(seq),
        });
      await append('m1', at(2), { content: 'second' });
      await append('m1', at(3), { content: 'the same id again' });
      await log.backfill('g', at(1), [{ event: 'new-message', id: 'm1', groupId: 'g', ...at(1), content: 'first' }]);
      await edit(4, 'm1');
      await edit(5, 'm10');
      await edit(6, 'm1');
      await log.append({
        groupId: 'g',
        id: 'd',
        event: 'message-deleted',
        message: { messageId: 'm1' },
        position: at(7),
      });
      await edit(8, 'm1');
      const { events } = await log.read('g', 0, 10);
      expect(events.map(({ content = '' }) => content)).toEqual(['', '', '', '', 'edit 5', '', '', 'edit 8']);
    });

    describe('bounds', () => {
      test('one group holds at most HISTORY_BYTES', async () => {
        const text = 'x'.repeat(40_000);
        for (let seq = 1; seq <= 5; seq += 1) await append(`m${seq}`, at(seq), { text });
        const { floor, head } = await log.read('g', 0, 10);
        expect(head).toEqual(at(5));
        expect(floor).toBeGreaterThanOrEqual(3);
        expect(log.stats()?.bytes ?? 0).toBeLessThanOrEqual(limits.bytes);
      });

      test('after the TTL the events are gone; head and epoch stay', async () => {
        await append('a', at(1));
        await append('b', at(2));
        await outlive(limits);
        expect(await log.read('g', 0, 10)).toEqual({
          head: at(2),
          floor: 2,
          events: [],
          exceptUserIds: new Map(),
          lastSeq: 2,
          more: false,
          newsAfter: 0,
        });
        expect(await append('c', at(3))).toEqual({ outcome: 'appended', position: at(3) });
        expect(await append('e', at(5))).toMatchObject({ outcome: 'gap' });
      });
    });

    test('groups do not share anything', async () => {
      await log.append({ groupId: 'one', id: 'a', event: 'e', message: {}, position: at(1) });
      await log.append({ groupId: 'two', id: 'a', event: 'e', message: {}, position: at(9, '5-z') });
      expect(await log.head('one')).toEqual(at(1));
      expect(await log.head('two')).toEqual(at(9, '5-z'));
    });
  });
}
