import type { GroupEvent, Message } from '@groupcast/shared';
import fc from 'fast-check';
import { describe, expect, test, vi } from 'vitest';
import { createMessageList, type MessageList } from '../src/messages/message-list.ts';

const EPOCH = '1-a';
const message = (seq: number, content = `m${seq}`): Message => ({
  id: `m${seq}`,
  groupId: 'g',
  epoch: EPOCH,
  seq,
  senderId: 'bob',
  sender: { userId: 'bob' },
  kind: 'text',
  content,
  createdAt: '2026-01-01T00:00:00.000Z',
});
const sent = (seq: number): GroupEvent => ({ ...(message(seq) as unknown as GroupEvent), event: 'new-message' });
const edited = (seq: number, of: number, content: string): GroupEvent => ({
  event: 'message-updated',
  id: `e${seq}`,
  groupId: 'g',
  epoch: EPOCH,
  seq,
  messageId: `m${of}`,
  senderId: 'somebody',
  content,
  updatedAt: '2026-01-02T00:00:00.000Z',
});
const removed = (seq: number, of: number): GroupEvent => ({ ...edited(seq, of, ''), event: 'message-deleted' });
const listOf = (): MessageList => createMessageList(({ id }) => id);
const texts = (list: MessageList): string[] => list.messages.map(({ content }) => content);
const at = (seq: number) => ({ epoch: EPOCH, seq });

describe('message list', () => {
  test('an edit replaces the text, and neither the place nor the author', () => {
    const list = listOf();
    list.apply([sent(1), sent(2), edited(3, 1, 'new')]);
    expect(texts(list)).toEqual(['new', 'm2']);
    expect(list.messages[0]).toMatchObject({
      id: 'm1',
      seq: 1,
      senderId: 'bob',
      updatedAt: '2026-01-02T00:00:00.000Z',
    });
  });

  test('fields that an edit takes away are gone, and a row keeps its key and status whatever an event says', () => {
    const list = listOf();
    list.replace([{ ...message(1), custom: { a: 1 } }], at(1));
    list.apply([{ ...edited(2, 1, 'new'), custom: null, key: 'forged', status: 'read' }]);
    expect(list.messages[0]).toMatchObject({ content: 'new', key: 'm1', status: 'sent' });
    expect(list.messages[0]).not.toHaveProperty('custom');
  });

  test('a deleted message does not come back, by event or by page', () => {
    const list = listOf();
    list.apply([sent(1), sent(2), removed(3, 1), { ...sent(1), content: '', deleted: true }, sent(1)]);
    list.addEarlier([message(1)], at(2));
    expect(texts(list)).toEqual(['m2']);
  });

  test('a page knows everything up to its position: older events do not turn it back', () => {
    const list = listOf();
    list.replace([message(1, 'edited twice'), message(4)], at(5));
    list.apply([sent(1), edited(2, 1, 'edited once'), sent(3), edited(5, 1, 'edited twice')]);
    expect(texts(list)).toEqual(['edited twice', 'm4']);
  });

  test('an answer that comes after the event and an edit does not turn the message back', () => {
    const list = listOf();
    list.apply([sent(1), edited(2, 1, 'edited'), sent(1)]);
    list.addEarlier([message(1)], at(1));
    expect(texts(list)).toEqual(['edited']);
  });

  test('an earlier page is as of its own position', () => {
    const list = listOf();
    list.replace([message(8)], at(8));
    list.addEarlier([message(2, 'as of 10')], at(10));
    list.apply([edited(9, 2, 'as of 9')]);
    expect(texts(list)).toEqual(['as of 10', 'm8']);
    list.apply([edited(11, 2, 'as of 11')]);
    expect(texts(list)).toEqual(['as of 11', 'm8']);
  });

  test('nothing new is the same array, and rows that did not change are the same objects', () => {
    const list = listOf();
    list.replace([message(1), message(2)], at(2));
    const before = list.messages;
    list.apply([sent(2), edited(3, 99, 'of another page')]);
    expect(list.messages).toBe(before);
    list.apply([edited(4, 2, 'new')]);
    expect(list.messages[0]).toBe(before[0]);
    list.replace([message(1), message(2, 'new')], at(4));
    expect(list.messages[0]).toBe(before[0]);
  });

  test('an older page goes in front of what is there, which is not sorted again', () => {
    const list = listOf();
    list.replace([message(8), message(9)], at(9));
    const [eight] = list.messages;
    const sort = vi.spyOn(Array.prototype, 'toSorted');
    list.addEarlier([message(5), message(7)], at(9));
    list.addEarlier([message(2), message(3)], at(9));
    expect(texts(list)).toEqual(['m2', 'm3', 'm5', 'm7', 'm8', 'm9']);
    expect(list.messages[4]).toBe(eight);
    expect(sort).not.toHaveBeenCalled();
    sort.mockRestore();
    const before = list.messages;
    list.addEarlier([message(2)], at(9));
    expect(list.messages).toBe(before);
    // A page that is none: its messages are shown all the same, in their place.
    list.addEarlier([message(6), message(1)], at(9));
    expect(texts(list)).toEqual(['m1', 'm2', 'm3', 'm5', 'm6', 'm7', 'm8', 'm9']);
  });

  test('pages and events in any interleaving show what the server has', () => {
    const step = fc.oneof(
      { weight: 4, arbitrary: fc.constant({ do: 'send' as const }) },
      { weight: 2, arbitrary: fc.record({ do: fc.constant('edit' as const), which: fc.nat(50) }) },
      { weight: 1, arbitrary: fc.record({ do: fc.constant('delete' as const), which: fc.nat(50) }) },
      {
        weight: 5,
        arbitrary: fc.record({ do: fc.constant('deliver' as const), count: fc.integer({ min: 1, max: 4 }) }),
      },
      { weight: 2, arbitrary: fc.constant({ do: 'ask newest' as const }) },
      { weight: 2, arbitrary: fc.constant({ do: 'ask earlier' as const }) },
      { weight: 3, arbitrary: fc.constant({ do: 'answer' as const }) },
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 50 }), (steps) => {
        const server = new Map<number, Message>();
        const events: GroupEvent[] = [];
        const list = listOf();
        let delivered = 0;
        let loaded = false;
        let question: { page: Message[]; position: ReturnType<typeof at>; before?: number; from: number } | undefined;
        const newest = (below: number): Message[] =>
          [...server.values()]
            .filter(({ seq }) => seq < below)
            .toSorted((a, b) => a.seq - b.seq)
            .slice(-3);
        const pick = (which: number): number | undefined => [...server.keys()][which % (server.size || 1)];

        function deliver(count: number): void {
          const due = events.slice(delivered, delivered + count);
          delivered += due.length;
          if (loaded) list.apply(due);
        }
        function answer(): void {
          if (!question) return;
          const { page, position, before, from } = question;
          question = undefined;
          // Events that passed while the page was on its way are replayed onto it.
          const passed = events.slice(from, delivered);
          if (before === undefined) list.replace(page, position);
          else if (list.messages[0]?.seq === before) list.addEarlier(page, position);
          else return;
          loaded = true;
          list.apply(passed);
        }
        for (const { do: what, ...rest } of steps) {
          const seq = events.length + 1;
          const target = pick((rest as { which?: number }).which ?? 0);
          if (what === 'send') {
            server.set(seq, message(seq));
            events.push(sent(seq));
          } else if (what === 'edit' && target !== undefined) {
            server.set(target, message(target, `edit ${seq}`));
            events.push(edited(seq, target, `edit ${seq}`));
          } else if (what === 'delete' && target !== undefined) {
            server.delete(target);
            events.push(removed(seq, target));
          } else if (what === 'deliver') deliver((rest as { count: number }).count);
          else if (what === 'ask newest')
            question ??= { page: newest(1_000), position: at(events.length), from: delivered };
          else if (what === 'ask earlier' && loaded && list.messages[0]) {
            const before = list.messages[0].seq;
            question ??= { page: newest(before), position: at(events.length), before, from: delivered };
          } else if (what === 'answer') answer();
        }
        if (!loaded) question ??= { page: newest(1_000), position: at(events.length), from: delivered };
        answer();
        deliver(events.length);
        const oldest = list.messages[0]?.seq ?? Number.POSITIVE_INFINITY;
        const expected = [...server.values()].filter(({ seq }) => seq >= oldest).toSorted((a, b) => a.seq - b.seq);
        expect(list.messages.map(({ seq, content }) => [seq, content])).toEqual(
          expected.map(({ seq, content }) => [seq, content]),
        );
      }),
      { numRuns: 3_000 },
    );
  });
});
