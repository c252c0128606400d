import type { GroupEvent, Message } from '@groupcast/shared';
import { describe, expect, test } from 'vitest';
import type { MessagesPage } from '../src/api/api.ts';
import { ClientError } from '../src/errors.ts';
import { asEvent } from '../src/messages/message-list.ts';
import { createMessageView } from '../src/messages/message-view.ts';
import type { PendingMessage } from '../src/messages/outgoing.ts';
import { manualClock, turns } from './manual-clock.ts';

const message = (seq: number, content = `m${seq}`): Message => ({
  id: `m${seq}`,
  groupId: 'g',
  epoch: '1-a',
  seq,
  senderId: 'bob',
  sender: { userId: 'bob' },
  kind: 'text',
  content,
  createdAt: '',
});
const sent = (seq: number): GroupEvent => asEvent(message(seq));

/** `maxPerPage`: the server's pages are cut here, and it says whether there is more. */
function setUp(head: number, maxPerPage?: number) {
  const server = Array.from({ length: head }, (_, index) => message(index + 1));
  const questions: { before: number | undefined; answer: (error?: ClientError) => Promise<void> }[] = [];
  let pending: readonly PendingMessage[] = [];
  const clock = manualClock();
  const view = createMessageView({
    groupId: 'g',
    pageSize: 3,
    api: {
      messages: async (_, { limit, before }) =>
        new Promise<MessagesPage>((resolve, reject) => {
          const older = server.filter(({ seq }) => before === undefined || seq < before);
          const messages = older.slice(-Math.min(limit, maxPerPage ?? limit));
          const more = maxPerPage === undefined ? {} : { more: messages.length < older.length };
          const position = { epoch: '1-a', seq: server.length };
          questions.push({
            before,
            answer: async (error) => {
              if (error) reject(error);
              else resolve({ messages, position, ...more });
              await turns();
            },
          });
        }),
    },
    keyOf: ({ id }) => id,
    rows: { me: () => 'me', reach: () => ({ received: 0, read: 0 }), changes: { shownAs: (row) => row, version: 0 } },
    onAwaitingReceipts: () => undefined,
    pending: () => pending,
    onPage: (page) => (pending = pending.filter((row) => !page.some(({ content }) => content === row.content))),
    clock,
    random: () => 1,
    onListenerError: (error) => {
      throw error;
    },
  });
  const shown = (): string[] => view.getSnapshot().messages.map(({ content }) => content);
  return { clock, server, questions, view, shown, setPending: (next: PendingMessage[]) => (pending = next) };
}

describe('messages of a group', () => {
  test('are read when somebody looks, once for everybody', async () => {
    const { view, questions, shown } = setUp(5);
    expect(view.getSnapshot().status).toBe('idle');
    view.subscribe(() => undefined);
    view.subscribe(() => undefined);
    expect([view.getSnapshot().status, questions.length]).toEqual(['loading', 1]);
    await questions[0]?.answer();
    expect(view.getSnapshot()).toMatchObject({ status: 'ready', hasEarlier: true });
    expect(shown()).toEqual(['m3', 'm4', 'm5']);
  });

  test('a page that is shorter than its limit is not taken for the last one where the API says that there is more', async () => {
    const { view, questions, shown } = setUp(3, 2);
    view.subscribe(() => undefined);
    await questions[0]?.answer();
    expect([shown(), view.getSnapshot().hasEarlier]).toEqual([['m2', 'm3'], true]);
    const loaded = view.loadEarlier();
    await questions[1]?.answer();
    await loaded;
    expect([shown(), view.getSnapshot().hasEarlier]).toEqual([['m1', 'm2', 'm3'], false]);
  });

  test('nothing older is asked for where the API says that there is none, although the page is full', async () => {
    const { view, questions } = setUp(3, 3);
    view.subscribe(() => undefined);
    await questions[0]?.answer();
    expect(view.getSnapshot().hasEarlier).toBe(false);
  });

  test('an event that passes while the page is on its way is in it afterwards', async () => {
    const { view, questions, shown } = setUp(2);
    view.subscribe(() => undefined);
    view.apply([sent(3), { ...sent(4), event: 'message-updated', messageId: 'm1', content: 'edited' }]);
    await questions[0]?.answer();
    expect(shown()).toEqual(['edited', 'm2', 'm3']);
  });

  test('older pages come in front, until there are no more', async () => {
    const { view, questions, shown } = setUp(7);
    view.subscribe(() => undefined);
    await questions[0]?.answer();
    const earlier = view.loadEarlier();
    expect(view.getSnapshot().isLoadingEarlier).toBe(true);
    view.apply([{ ...sent(8), event: 'message-updated', messageId: 'm3', content: 'edited meanwhile' }]);
    await questions[1]?.answer();
    await earlier;
    expect(shown()).toEqual(['m2', 'edited meanwhile', 'm4', 'm5', 'm6', 'm7']);
    void view.loadEarlier();
    await questions[2]?.answer();
    expect([shown().length, view.getSnapshot().hasEarlier]).toEqual([7, false]);
    await view.loadEarlier();
    expect(questions.map(({ before }) => before)).toEqual([undefined, 5, 2]);
  });

  test('a page that fails says so, and is read again', async () => {
    const { view, questions, shown, clock } = setUp(1);
    view.subscribe(() => undefined);
    await questions[0]?.answer(new ClientError('UNREACHABLE', 'down', { retryable: true }));
    expect(view.getSnapshot()).toMatchObject({ status: 'failed', error: { code: 'UNREACHABLE' } });
    view.hurry();
    await clock.advance(0);
    await questions[1]?.answer();
    expect([view.getSnapshot().status, view.getSnapshot().error, shown()]).toEqual(['ready', null, ['m1']]);
  });

  test('reading again keeps what is shown until the new page is there', async () => {
    const { view, questions, shown, server } = setUp(2);
    view.subscribe(() => undefined);
    await questions[0]?.answer();
    server.splice(1);
    const again = view.reload();
    expect([view.getSnapshot().status, shown()]).toEqual(['ready', ['m1', 'm2']]);
    await questions[1]?.answer();
    await again;
    expect(shown()).toEqual(['m1']);
  });

  test('a page from before the group’s events begin is read once more, and one that is not is not', async () => {
    const { server, view, questions, shown } = setUp(3);
    view.subscribe(() => undefined);
    await questions[0]?.answer();
    view.startsAt({ epoch: '1-a', seq: 3 });
    expect(questions.length).toBe(1);
    server.push(message(4));
    view.startsAt({ epoch: '1-a', seq: 4 });
    view.startsAt({ epoch: '1-a', seq: 5 });
    await questions[1]?.answer();
    expect(shown()).toEqual(['m2', 'm3', 'm4']);
    // An API that knows no better is believed.
    await questions[2]?.answer();
    expect(questions.length).toBe(3);
  });

  test('a page that was on its way when the events began is looked at when it comes', async () => {
    const { server, view, questions, shown } = setUp(3);
    view.subscribe(() => undefined);
    server.push(message(4));
    view.startsAt({ epoch: '1-a', seq: 4 });
    await questions[0]?.answer();
    await questions[1]?.answer();
    expect([shown(), questions.length]).toEqual([['m2', 'm3', 'm4'], 2]);
  });

  test('own messages on their way come last; nothing new tells nobody', async () => {
    const { view, questions, shown, setPending } = setUp(1);
    let calls = 0;
    view.subscribe(() => {
      calls += 1;
    });
    await questions[0]?.answer();
    setPending([
      { status: 'sending', key: 'c', groupId: 'g', clientMessageId: 'c', content: 'mine', kind: 'text', createdAt: '' },
    ]);
    view.refresh();
    expect(shown()).toEqual(['m1', 'mine']);
    const before = [calls, view.getSnapshot()];
    view.apply([sent(1)]);
    view.refresh();
    expect([calls, view.getSnapshot()]).toEqual(before);
  });

  test('a list that nobody looks at keeps a page, and the rest is read again when it is wanted', async () => {
    const { view, questions, shown } = setUp(0);
    const stop = view.subscribe(() => undefined);
    await questions[0]?.answer();
    for (let seq = 1; seq <= 50; seq += 1) view.apply([sent(seq)]);
    expect([shown().length, view.getSnapshot().hasEarlier]).toEqual([50, false]);
    stop();
    stop();
    expect([shown(), view.getSnapshot().hasEarlier]).toEqual([['m48', 'm49', 'm50'], true]);
    for (let seq = 51; seq <= 90; seq += 1) view.update(() => view.apply([sent(seq)]));
    expect(shown().length).toBeLessThanOrEqual(6);
  });

  test('trimmed in the middle of a change, it still says that there are earlier ones', async () => {
    const { view, questions, shown } = setUp(2);
    const stop = view.subscribe(() => undefined);
    await questions[0]?.answer();
    stop();
    for (let seq = 3; seq <= 9; seq += 1) view.update(() => view.apply([sent(seq)]));
    expect([shown()[0], view.getSnapshot().hasEarlier]).toEqual(['m5', true]);
  });

  test('with every shown message deleted, the earlier ones can still be loaded', async () => {
    const { view, questions, shown, server } = setUp(6);
    view.subscribe(() => undefined);
    await questions[0]?.answer();
    for (const seq of [4, 5, 6]) {
      view.apply([
        { event: 'message-deleted', id: `d${seq}`, groupId: 'g', epoch: '1-a', seq: seq + 3, messageId: `m${seq}` },
      ]);
    }
    expect([shown(), view.getSnapshot().hasEarlier]).toEqual([[], true]);
    server.splice(3);
    const earlier = view.loadEarlier();
    await questions[1]?.answer();
    await earlier;
    expect(shown()).toEqual(['m1', 'm2', 'm3']);
  });

  test('a page settles own messages in the same change; a message saved before the page is there does not vanish', async () => {
    const { server, view, questions, setPending } = setUp(2);
    const counts: number[] = [];
    view.subscribe(() => counts.push(view.getSnapshot().messages.filter(({ content }) => content === 'm3').length));
    setPending([
      { status: 'sending', key: 'c', groupId: 'g', clientMessageId: 'c', content: 'm3', kind: 'text', createdAt: '' },
    ]);
    view.refresh();
    view.update(() => {
      setPending([]);
      view.apply([sent(3)]);
    });
    await questions[0]?.answer();
    setPending([
      { status: 'sending', key: 'c', groupId: 'g', clientMessageId: 'c', content: 'm4', kind: 'text', createdAt: '' },
    ]);
    view.refresh();
    server.push(message(3), message(4));
    const again = view.reload();
    await questions[1]?.answer();
    await again;
    expect(new Set(counts.slice(counts.indexOf(1)))).toEqual(new Set([1]));
    expect(view.getSnapshot().messages.map(({ content }) => content)).toEqual(['m2', 'm3', 'm4']);
  });

  test('a group that was left and entered again is read anew through a handle from before', async () => {
    const { view, questions, shown } = setUp(2);
    const stop = view.subscribe(() => undefined);
    await questions[0]?.answer();
    stop();
    view.leave();
    expect(view.getSnapshot()).toMatchObject({ status: 'idle', messages: [] });
    view.subscribe(() => undefined);
    await questions[1]?.answer();
    expect(shown()).toEqual(['m1', 'm2']);
  });

  test('10,000 rounds of looking and leaving ask once', async () => {
    const { view, questions, clock } = setUp(1);
    for (let round = 0; round < 10_000; round += 1) view.subscribe(() => undefined)();
    expect([questions.length, clock.timers]).toEqual([1, 0]);
  });
});
