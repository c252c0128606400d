import type { GroupSummary } from '@groupcast/shared';
import { describe, expect, test } from 'vitest';
import { createReading } from '../src/groups/reading.ts';
import { turns } from './manual-clock.ts';

function setUp() {
  const group = { readSeq: 0 };
  const cursors: number[] = [];
  const unheard: number[] = [];
  const questions: { seq: number; answer: (fails?: boolean) => void }[] = [];
  let useful = true;
  let head: number | undefined = 20;
  const reading = createReading({
    groups: {
      get: () => group as unknown as GroupSummary,
      read(_, seq) {
        if (seq <= group.readSeq) return 'no news';
        group.readSeq = seq;
        return seq >= 10 ? 'all' : 'part';
      },
      counted: () => useful,
    },
    cursors: { read: (_, seq) => cursors.push(seq), unheard: (_, seq) => unheard.push(seq) },
    positionOf: () => ({ epoch: '1-a', seq: 12 }),
    headOf: () => head,
    markRead: async (_, seq) =>
      new Promise((resolve, reject) => {
        const answer = (fails = false) =>
          fails ? reject(new Error('down')) : resolve({ unreadCount: 1, position: { epoch: '1-a', seq: 10 } });
        questions.push({ seq, answer });
      }),
  });
  return {
    reading,
    cursors,
    unheard,
    questions,
    setUseful: (value: boolean) => (useful = value),
    setHead: (value: number | undefined) => (head = value),
  };
}

describe('reading', () => {
  test('all of a group is told to the relay, and once', () => {
    const { reading, cursors, questions } = setUp();
    for (const seq of [10, 10, 9, 11]) reading.mark('g', seq);
    expect([cursors, questions.length]).toEqual([[10, 11], 0]);
  });

  test('is at most as far as the group is known to have got, or later messages would count as read', () => {
    const { reading, cursors, setHead } = setUp();
    setHead(12);
    for (const seq of [50, 11, 12]) reading.mark('g', seq);
    expect(cursors).toEqual([12]);
    setHead(13);
    reading.mark('g', 50);
    setHead(undefined);
    reading.mark('g', 51);
    expect(cursors).toEqual([12, 13, 51]);
  });

  test('is told again where the API does not list it, but for groups whose events have not all come: one may be a removal', () => {
    const { reading, unheard } = setUp();
    reading.mark('g', 10);
    reading.listed('g', { epoch: '1-a', seq: 12 }, 10);
    reading.listed('g', { epoch: '1-a', seq: 13 }, 3);
    reading.listed('g', { epoch: '2-b', seq: 12 }, 3);
    reading.listed('g', { epoch: '1-a', seq: 9 }, 9);
    expect(unheard).toEqual([]);
    reading.listed('g', { epoch: '1-a', seq: 12 }, 3);
    expect(unheard).toEqual([10]);
  });

  test('a part of it is asked of the API, one question at a time, about the newest place', async () => {
    const { reading, cursors, questions } = setUp();
    for (const seq of [2, 2, 3, 4, 5]) reading.mark('g', seq);
    expect(questions.map(({ seq }) => seq)).toEqual([2]);
    questions[0]?.answer();
    await turns();
    expect(questions.map(({ seq }) => seq)).toEqual([2, 5]);
    questions[1]?.answer(true);
    await turns();
    expect(cursors).toEqual([5]);
  });

  test('in another window is known at once, and told to nobody; after a part of a group the API counts the rest', async () => {
    const { reading, cursors, questions } = setUp();
    for (const seq of [4, 4, 3]) reading.readElsewhere('g', seq);
    expect(questions.map(({ seq }) => seq)).toEqual([4]);
    questions[0]?.answer();
    await turns();
    reading.readElsewhere('g', 10);
    reading.mark('g', 10);
    expect([cursors, questions.length]).toEqual([[], 1]);
    reading.stop();
    reading.readElsewhere('g', 11);
    reading.mark('g', 12);
    expect(cursors).toEqual([]);
  });

  test('a count that came too late is asked for again, a few times', async () => {
    const { reading, questions, setUseful } = setUp();
    setUseful(false);
    reading.mark('g', 2);
    for (let n = 0; n < 5; n += 1) {
      questions[n]?.answer();
      await turns();
    }
    expect(questions.length).toBe(3);
  });
});
