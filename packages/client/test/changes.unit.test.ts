import type { GroupEvent, Message } from '@groupcast/shared';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ClientError } from '../src/errors.ts';
import { type Changes, createChanges } from '../src/messages/changes.ts';
import { createMessageList, type MessageList } from '../src/messages/message-list.ts';
import { createRows } from '../src/messages/rows.ts';
import { turns } from './manual-clock.ts';

const EPOCH = '1-a';
/** The time of the event at `seq`, so that later edits have later times. */
const at = (seq: number): string => new Date(seq * 1_000).toISOString();
const message = (seq: number, content = `m${seq}`, updatedAt?: string): Message => ({
  id: `m${seq}`,
  groupId: 'g',
  epoch: EPOCH,
  seq,
  senderId: 'me',
  sender: { userId: 'me' },
  kind: 'text',
  content,
  createdAt: at(0),
  ...(updatedAt === undefined ? {} : { updatedAt }),
});
const edited = (seq: number, of: number, content: string): GroupEvent => ({
  event: 'message-updated',
  id: `e${seq}`,
  groupId: 'g',
  epoch: EPOCH,
  seq,
  messageId: `m${of}`,
  senderId: 'me',
  content,
  updatedAt: at(seq),
});
const removed = (seq: number, of: number): GroupEvent => ({ ...edited(seq, of, ''), event: 'message-deleted' });

interface Request {
  kind: 'edit' | 'delete';
  messageId: string;
  content: string;
  answer: (result: Message | ClientError) => Promise<void>;
}

function setUp(reach = { received: 0, read: 0 }) {
  const requests: Request[] = [];
  const ask = async (kind: Request['kind'], messageId: string, content: string): Promise<Message> =>
    new Promise((resolve, reject) => {
      requests.push({
        kind,
        messageId,
        content,
        async answer(result) {
          if (result instanceof ClientError) reject(result);
          else resolve(result);
          await turns();
        },
      });
    });
  const told: string[] = [];
  const changes = createChanges({
    api: {
      editMessage: async (_, messageId, { content = '' }) => ask('edit', messageId, content),
      deleteMessage: async (_, messageId) => void (await ask('delete', messageId, '')),
    },
    onChange: (groupId) => told.push(groupId),
  });
  const list = createMessageList(({ id }) => id);
  const rows = createRows({ me: () => 'me', reach: () => reach, changes });
  const apply = (...events: GroupEvent[]): void => {
    changes.apply('g', events);
    list.apply(events);
  };
  const shown = (): string[] => rows.of(list.messages).map(({ content }) => content);
  list.replace([message(1), message(2)], { epoch: EPOCH, seq: 2 });
  return { requests, told, changes, list, rows, apply, shown };
}
const refusal = new ClientError('FORBIDDEN', 'not yours');
const quietly = (promise: Promise<unknown>): void => void promise.catch(() => undefined);

describe('own edits and deletions', () => {
  test('are shown at once, and taken back when they are refused', async () => {
    const { changes, requests, shown, told } = setUp();
    const edit = changes.edit('g', 'm1', { content: 'new' });
    const deletion = changes.remove('g', 'm2');
    expect([shown(), told]).toEqual([['new'], ['g', 'g']]);
    await turns();
    for (const request of requests) await request.answer(refusal);
    await expect(edit).rejects.toBe(refusal);
    await expect(deletion).rejects.toBe(refusal);
    expect(shown()).toEqual(['m1', 'm2']);
  });

  test('whether the answer comes first or the event, the text is there all the time', async () => {
    for (const eventFirst of [true, false]) {
      const { changes, requests, shown, apply } = setUp();
      quietly(changes.edit('g', 'm1', { content: 'new' }));
      await turns();
      const steps = [() => requests[0]?.answer(message(1, 'new', at(3))), async () => apply(edited(3, 1, 'new'))];
      for (const step of eventFirst ? steps.toReversed() : steps) {
        await step();
        expect(shown()).toEqual(['new', 'm2']);
      }
      // From here on everything is later.
      apply(edited(4, 1, 'by another window'));
      expect(shown()).toEqual(['by another window', 'm2']);
    }
  });

  test('an edit in another window that was earlier does not turn the text back, and one that is later wins', async () => {
    const { changes, requests, shown, apply } = setUp();
    quietly(changes.edit('g', 'm1', { content: 'mine' }));
    await turns();
    apply(edited(3, 1, 'earlier'));
    expect(shown()).toEqual(['mine', 'm2']);
    await requests[0]?.answer(message(1, 'mine', at(4)));
    expect(shown()).toEqual(['mine', 'm2']);
    apply(edited(4, 1, 'mine'), edited(5, 1, 'later'));
    expect(shown()).toEqual(['later', 'm2']);
  });

  test('the last of several edits is shown, and they are sent one after the other', async () => {
    const { changes, requests, shown } = setUp();
    quietly(changes.edit('g', 'm1', { content: 'first' }));
    quietly(changes.edit('g', 'm1', { content: 'second' }));
    quietly(changes.edit('g', 'm2', { content: 'other' }));
    await turns();
    expect([shown(), requests.map(({ content }) => content)]).toEqual([
      ['second', 'other'],
      ['first', 'other'],
    ]);
    await requests[0]?.answer(refusal);
    expect([shown(), requests.map(({ content }) => content)]).toEqual([
      ['second', 'other'],
      ['first', 'other', 'second'],
    ]);
    await requests[2]?.answer(refusal);
    expect(shown()).toEqual(['m1', 'other']);
  });

  test('a deleted message does not come back by a page from before, and is forgotten with its event', async () => {
    const { changes, requests, shown, apply, list } = setUp();
    quietly(changes.remove('g', 'm2'));
    await turns();
    await requests[0]?.answer(message(2));
    list.replace([message(1), message(2)], { epoch: EPOCH, seq: 2 });
    expect(shown()).toEqual(['m1']);
    apply(removed(3, 2));
    expect(shown()).toEqual(['m1']);
    expect(changes.shownAs(message(2))).toEqual(message(2));
  });

  test('a page that is newer than the answer wins, and one that is older does not', async () => {
    const { changes, requests, shown, list } = setUp();
    quietly(changes.edit('g', 'm1', { content: 'mine' }));
    await turns();
    await requests[0]?.answer(message(1, 'mine', at(4)));
    list.replace([message(1, 'earlier', at(3)), message(2)], { epoch: EPOCH, seq: 3 });
    expect(shown()).toEqual(['mine', 'm2']);
    list.replace([message(1, 'later', at(5)), message(2)], { epoch: EPOCH, seq: 5 });
    expect(shown()).toEqual(['later', 'm2']);
  });

  test('text and fields of the application’s own change each by itself, and together', async () => {
    const { changes, list, rows, apply, requests } = setUp();
    const first = () => rows.of(list.messages)[0];
    quietly(changes.edit('g', 'm1', { custom: { a: 1 } }));
    expect(first()).toMatchObject({ content: 'm1', custom: { a: 1 } });
    quietly(changes.edit('g', 'm1', { content: 'new' }));
    expect(first()).toMatchObject({ content: 'new', custom: { a: 1 } });
    quietly(changes.edit('g', 'm1', { custom: null }));
    expect(first()).not.toHaveProperty('custom');
    expect(first()).toBe(first());
    for (const n of [0, 1, 2]) {
      await turns();
      await requests[n]?.answer(message(1, 'new', at(3 + n)));
    }
    apply({ ...edited(3, 1, 'm1'), custom: { a: 1 } }, edited(4, 1, 'new'), { ...edited(5, 1, 'new'), custom: null });
    expect([first()?.content, first()]).toEqual(['new', list.messages[0]]);
    expect(first()).not.toHaveProperty('custom');
  });

  test('are forgotten with the group, and a late answer changes nothing', async () => {
    const { changes, requests, shown } = setUp();
    quietly(changes.edit('g', 'm1', { content: 'new' }));
    await turns();
    changes.forget('g');
    expect(shown()).toEqual(['m1', 'm2']);
    await requests[0]?.answer(message(1, 'new', at(3)));
    expect(shown()).toEqual(['m1', 'm2']);
  });

  test('rows that have not changed are the same objects, and so is the array', async () => {
    const { changes, list, rows, requests } = setUp();
    expect(rows.of(list.messages)).toBe(list.messages);
    quietly(changes.edit('g', 'm1', { content: 'new' }));
    const [first, second] = rows.of(list.messages);
    expect([first?.content, second]).toEqual(['new', list.messages[1]]);
    const before = rows.of(list.messages);
    quietly(changes.edit('g', 'of another page', { content: 'new' }));
    expect(rows.of(list.messages)).toBe(before);
    await turns();
    await requests[0]?.answer(refusal);
    expect(rows.of(list.messages)).toBe(list.messages);
  });

  test('in any order of answers, events and pages, a change lasts until the events say otherwise, and the end is what the server has', async () => {
    const step = fc.oneof(
      fc.record({ do: fc.constant('edit' as const), of: fc.integer({ min: 1, max: 2 }) }),
      fc.record({ do: fc.constant('elsewhere' as const), of: fc.integer({ min: 1, max: 2 }) }),
      fc.record({ do: fc.constant('delete' as const), of: fc.integer({ min: 1, max: 2 }) }),
      fc.record({ do: fc.constant('carry out' as const), refuse: fc.boolean(), early: fc.boolean() }),
      fc.record({ do: fc.constant('deliver' as const) }),
      fc.record({ do: fc.constant('page' as const) }),
      fc.record({ do: fc.constant('answer' as const) }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 30 }), async (steps) => {
        const { changes, requests, apply, list, rows } = setUp();
        const server = new Map([1, 2].map((of) => [`m${of}`, message(of)]));
        const events: GroupEvent[] = [];
        let delivered = 0;
        let answered = 0;
        let page: { messages: Message[]; seq: number; from: number } | undefined;
        const late: (() => Promise<void>)[] = [];

        function save(id: string, of: number, content: string | null): Message | undefined {
          const known = server.get(id);
          if (!known) return undefined;
          const seq = 3 + events.length;
          if (content === null) server.delete(id);
          else server.set(id, { ...known, content, updatedAt: at(seq) });
          events.push(content === null ? removed(seq, of) : edited(seq, of, content));
          return server.get(id) ?? known;
        }
        function deliver(count: number): void {
          apply(...events.slice(delivered, delivered + count));
          delivered = Math.min(events.length, delivered + count);
        }
        function takePage(): void {
          if (!page) return;
          list.replace(page.messages, { epoch: EPOCH, seq: page.seq });
          list.apply(events.slice(page.from, delivered));
          page = undefined;
        }
        /** The server carries out the next request, or refuses it; its answer may take longer than the event. */
        function carryOut(refuse: boolean): void {
          const request = requests[answered];
          if (!request) return;
          answered += 1;
          const content = request.kind === 'edit' ? request.content : null;
          const saved = refuse ? undefined : save(request.messageId, Number(request.messageId.slice(1)), content);
          late.push(async () => request.answer(saved ?? refusal));
        }
        for (const [index, next] of steps.entries()) {
          if (next.do === 'edit') quietly(changes.edit('g', `m${next.of}`, { content: `mine ${index}` }));
          else if (next.do === 'delete') quietly(changes.remove('g', `m${next.of}`));
          else if (next.do === 'elsewhere') save(`m${next.of}`, next.of, `theirs ${index}`);
          else if (next.do === 'carry out') carryOut(next.refuse);
          else if (next.do === 'deliver') deliver(1);
          else if (next.do === 'answer') await late.shift()?.();
          else if (page) takePage();
          else page = { messages: [...server.values()], seq: 2 + events.length, from: delivered };
          await turns(20);
          if (next.do === 'edit') {
            const row = rows.of(list.messages).find(({ id }) => id === `m${next.of}`);
            if (row) expect(row.content).toBe(`mine ${index}`);
          }
        }
        for (let round = 0; round < 100 && (requests.length > answered || late.length > 0); round += 1) {
          carryOut(false);
          await late.shift()?.();
          await turns(20);
        }
        takePage();
        deliver(events.length);
        const texts = rows.of(list.messages).map(({ id, content }) => [id, content]);
        expect(texts).toEqual([...server.values()].map(({ id, content }) => [id, content]));
      }),
      { numRuns: 1_000 },
    );
  });
});

describe('the status of saved messages', () => {
  const listOf = (...messages: Message[]): MessageList => {
    const list = createMessageList(({ id }) => id);
    list.replace(messages, { epoch: EPOCH, seq: 9 });
    return list;
  };
  const unchanged: Pick<Changes, 'shownAs' | 'version'> = { shownAs: (row) => row, version: 0 };

  test('is that of one’s own, by how far all others are; others’ messages have none of it', () => {
    const reach = { received: 0, read: 0 };
    const rows = createRows({ me: () => 'me', reach: () => reach, changes: unchanged });
    const list = listOf(message(1), { ...message(2), senderId: 'bob' }, message(3), message(4));
    const states = (): string[] => rows.of(list.messages).map(({ status }) => status);
    expect([states(), rows.hasUnreadOwn(list.messages)]).toEqual([['sent', 'sent', 'sent', 'sent'], true]);
    Object.assign(reach, { received: 3, read: 1 });
    expect(states()).toEqual(['read', 'sent', 'delivered', 'sent']);
    const [first, , third] = rows.of(list.messages);
    Object.assign(reach, { received: 4, read: 3 });
    expect(states()).toEqual(['read', 'sent', 'read', 'delivered']);
    expect(rows.of(list.messages)[0]).toBe(first);
    expect(rows.of(list.messages)[2]).not.toBe(third);
    Object.assign(reach, { received: 4, read: 4 });
    expect(rows.hasUnreadOwn(list.messages)).toBe(false);
  });
});
