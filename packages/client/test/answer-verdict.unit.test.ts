import { describe, expect, test } from 'vitest';
import { type AnswerVerdict, judgeAnswer } from '../src/inbox/answer-verdict.ts';

const FRESH = { fruitless: 0, promised: 0 };

describe('after an answer to catch-up', () => {
  test.each<[why: string, before: Parameters<typeof judgeAnswer>, verdict: AnswerVerdict]>([
    [
      'one that brought events starts the counts anew',
      [
        { fruitless: 3, promised: 9 },
        { moved: true, promisesMore: true },
      ],
      { next: 'again', fruitless: 0, promised: 0 },
    ],
    [
      'the relay’s first empty one leads to the API at once',
      [FRESH, { moved: false, promisesMore: false }],
      { next: 'again', fruitless: 1, promised: 0 },
    ],
    [
      'the API’s first empty one is followed by a wait',
      [
        { fruitless: 1, promised: 0 },
        { moved: false, promisesMore: false },
      ],
      { next: 'wait', fruitless: 2, promised: 0 },
    ],
    [
      'the fourth empty one is followed by a wait',
      [
        { fruitless: 3, promised: 0 },
        { moved: false, promisesMore: false },
      ],
      { next: 'wait', fruitless: 4, promised: 0 },
    ],
    [
      'the fifth empty one is the last',
      [
        { fruitless: 4, promised: 0 },
        { moved: false, promisesMore: false },
      ],
      { next: 'give up', fruitless: 5, promised: 0 },
    ],
    [
      'a promise of more counts as no failure',
      [
        { fruitless: 0, promised: 99 },
        { moved: false, promisesMore: true },
      ],
      { next: 'again', fruitless: 0, promised: 100 },
    ],
    [
      'a hundred promises without an event are broken',
      [
        { fruitless: 0, promised: 100 },
        { moved: false, promisesMore: true },
      ],
      { next: 'again', fruitless: 1, promised: 100 },
    ],
  ])('%s', (_, input, verdict) => {
    expect(judgeAnswer(...input)).toEqual(verdict);
  });
});
