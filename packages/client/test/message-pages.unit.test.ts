import type { ViewMessage } from '@groupcast/client';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type MessagePages, toPages } from '../src/react/message-pages.ts';

const sent = (seq: number): ViewMessage => ({
  status: 'sent',
  key: `k${seq}`,
  id: `m${seq}`,
  groupId: 'g',
  epoch: '1-a',
  seq,
  senderId: 'bob',
  sender: { userId: 'bob' },
  kind: 'text',
  content: `m${seq}`,
  createdAt: '',
});
const sending: ViewMessage = {
  status: 'sending',
  key: 'p',
  groupId: 'g',
  clientMessageId: 'p',
  content: 'pending',
  kind: 'text',
  createdAt: '',
};
const range = (from: number, to: number): ViewMessage[] =>
  Array.from({ length: to - from + 1 }, (_, index) => sent(from + index));
const contents = ({ pages }: MessagePages): string[][] => pages.map((page) => page.messages.map((m) => m.content));

describe('pages of messages', () => {
  test('are cut where they were asked for, the newest first, with what is on its way at its end', () => {
    const pages = toPages({ messages: [...range(3, 8), sending], hasEarlier: true }, [null, 7, 5]);
    expect(contents(pages)).toEqual([
      ['m7', 'm8', 'pending'],
      ['m5', 'm6'],
      ['m3', 'm4'],
    ]);
    expect(pages.pages.map(({ before }) => before)).toEqual([7, 5, 3]);
    expect(pages.pageParams).toEqual([null, 7, 5]);
  });

  test('the oldest page leads on only where there is more', () => {
    const last = (hasEarlier: boolean) => toPages({ messages: range(1, 3), hasEarlier }, [null]).pages.at(-1)?.before;
    expect([last(true), last(false)]).toEqual([1, null]);
    expect(toPages({ messages: [], hasEarlier: false }, [null]).pages).toEqual([{ messages: [], before: null }]);
  });

  test('where nothing is left on one side there is no cut', () => {
    expect(toPages({ messages: range(7, 9), hasEarlier: true }, [null, 7, 4]).pageParams).toEqual([null]);
    expect(contents(toPages({ messages: range(1, 2), hasEarlier: false }, [null, 5, 3]))).toEqual([['m1', 'm2']]);
    expect(contents(toPages({ messages: [sent(1), sent(9)], hasEarlier: false }, [null, 5, 3]))).toEqual([
      ['m9'],
      ['m1'],
    ]);
    expect(contents(toPages({ messages: [sent(1), sending], hasEarlier: false }, [null, 5]))).toEqual([
      ['pending'],
      ['m1'],
    ]);
  });

  test('a page in which nothing has changed is the same object', () => {
    const messages = range(1, 6);
    const before = toPages({ messages, hasEarlier: false }, [null, 4]);
    const now = toPages({ messages: [...messages, sent(7)], hasEarlier: false }, before.pageParams, before.pages);
    expect([now.pages[0] === before.pages[0], now.pages[1] === before.pages[1]]).toEqual([false, true]);
    expect(toPages({ messages, hasEarlier: false }, [null, 4], before.pages).pages).toEqual(before.pages);
  });

  test('whatever was asked for, every message is in exactly one page, in its place', () => {
    fc.assert(
      fc.property(
        fc.uniqueArray(fc.integer({ min: 1, max: 60 }), { maxLength: 40 }),
        fc.uniqueArray(fc.integer({ min: 1, max: 60 }), { maxLength: 6 }),
        fc.boolean(),
        (seqs, bounds, pending) => {
          const messages = [...seqs.toSorted((a, b) => a - b).map(sent), ...(pending ? [sending] : [])];
          const params = [null, ...bounds.toSorted((a, b) => b - a)];
          const { pages, pageParams } = toPages({ messages, hasEarlier: false }, params);
          expect(pages.toReversed().flatMap((page) => page.messages)).toEqual(messages);
          expect(pageParams.length).toBe(pages.length);
        },
      ),
    );
  });

  test('reading 200 pages one after the other looks at each message a few times, not once for every page', () => {
    let looks = 0;
    class Counted {
      readonly status = 'sent';
      readonly key: string;
      readonly #seq: number;
      constructor(seq: number) {
        this.key = `k${seq}`;
        this.#seq = seq;
      }
      get seq(): number {
        looks += 1;
        return this.#seq;
      }
    }
    const all = Array.from({ length: 10_000 }, (_, index) => new Counted(index + 1) as unknown as ViewMessage);
    let { pages, pageParams } = toPages({ messages: all.slice(-50), hasEarlier: true }, [null]);
    for (let shown = 100; shown <= all.length; shown += 50) {
      const bound = pages.at(-1)?.before ?? 0;
      const messages = all.slice(-shown);
      const page = toPages({ messages, hasEarlier: true }, [null, bound]).pages.at(-1);
      ({ pages, pageParams } = toPages(
        { messages, hasEarlier: true },
        [...pageParams, bound],
        [...pages, ...(page ? [page] : [])],
      ));
    }
    expect([pages.length, pageParams.length, pages.at(-1)?.before]).toEqual([200, 200, 1]);
    expect(looks).toBeLessThan(20 * all.length);
  });

  test('pages shown before change only the objects: they are the same, whatever happened meanwhile', () => {
    const step = fc.record({
      kind: fc.constantFrom('say', 'older', 'delete', 'edit', 'send'),
      at: fc.nat(),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        let saved = range(40, 50);
        let pending: ViewMessage[] = [];
        let before = toPages({ messages: saved, hasEarlier: true }, [null]);
        for (const { kind, at } of steps) {
          let params = before.pageParams;
          const oldest = saved[0]?.status === 'sent' ? saved[0].seq : 0;
          const newest = saved.at(-1);
          if (kind === 'say') saved = saved.concat(sent((newest?.status === 'sent' ? newest.seq : 50) + 1));
          else if (kind === 'older' && oldest > 3) {
            saved = range(oldest - 3, oldest - 1).concat(saved);
            params = [...params, oldest];
          } else if (kind === 'delete') saved = saved.filter((_, index) => index !== at % saved.length);
          else if (kind === 'edit')
            saved = saved.map((message, index) => (index === at % saved.length ? { ...message } : message));
          else pending = pending.length > 0 ? [] : [sending];
          const snapshot = { messages: [...saved, ...pending], hasEarlier: true };
          const now = toPages(snapshot, params, before.pages);
          expect(now).toEqual(toPages(snapshot, params));
          before = now;
        }
      }),
    );
  });
});
