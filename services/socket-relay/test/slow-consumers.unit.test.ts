import { describe, expect, test } from 'vitest';
import { type CutReason, type Excursion, judge } from '../src/slow-consumers/slow-consumers.ts';

const CAP = 100;

/** Looks at one connection after another `[bytes, progress, seconds]`, and answers with every verdict: the limit, or why it is cut. */
function verdicts(...looks: [bytes: number, progress: number, seconds: number][]): (number | CutReason | undefined)[] {
  let excursion: Excursion | undefined;
  return looks.map(([bytes, progress, seconds]) => {
    const verdict = judge(excursion, { bytes, progress }, { cap: CAP, now: seconds * 1_000 });
    if (typeof verdict === 'string') return verdict;
    excursion = verdict;
    return verdict?.limit;
  });
}

describe('a slow consumer', () => {
  test('is one above the cap from which nothing went out for 5 s (G25)', () => {
    expect(verdicts([101, 7, 0], [101, 7, 4.9], [101, 7, 5])).toEqual([400, 400, 'stalled']);
    expect(verdicts([101, 7, 0], [101, 8, 4.9], [101, 8, 9.8], [101, 8, 9.9])).toEqual([400, 400, 400, 'stalled']);
  });

  test('is none at the cap, however long, and begins anew after each fall to it', () => {
    expect(verdicts([100, 7, 0], [100, 7, 60])).toEqual([undefined, undefined]);
    expect(verdicts([101, 7, 0], [100, 7, 4], [101, 7, 8], [101, 7, 12], [101, 7, 13])).toEqual([
      400,
      undefined,
      400,
      400,
      'stalled',
    ]);
  });

  test('is cut at 4 times the cap at once when nothing went out since the last look', () => {
    expect(verdicts([150, 7, 0], [300, 7, 0.001], [400, 7, 0.002], [401, 7, 0.003])).toEqual([
      400,
      400,
      400,
      'over-limit',
    ]);
  });

  test('is not a reader that one turn brought more, at rest or while it reads', () => {
    expect(verdicts([8_000, 7, 0], [6_000, 8, 1], [300, 9, 2], [0, 10, 3])).toEqual([8_100, 6_100, 400, undefined]);
    expect(verdicts([300, 7, 0], [8_000, 8, 1], [500, 9, 2])).toEqual([400, 8_100, 600]);
  });

  test('is one that gets another cap while the burst drains, or another burst before it has', () => {
    expect(verdicts([8_000, 7, 0], [8_100, 7, 1], [8_101, 7, 1.1])).toEqual([8_100, 8_100, 'over-limit']);
    expect(verdicts([8_000, 7, 0], [2_000, 8, 1], [2_101, 9, 2])).toEqual([8_100, 2_100, 'over-limit']);
    expect(verdicts([8_000, 7, 0], [200, 8, 1], [500, 9, 2])).toEqual([8_100, 400, 'over-limit']);
  });

  test('never has more than 5 caps and a turn’s writes when it reads, but not enough', () => {
    const looks = Array.from({ length: 40 }, (_, n): [number, number, number] => [n * 20, n, n]);
    const cutAt = verdicts(...looks).indexOf('over-limit');
    expect(looks[cutAt]?.[0]).toBe(540);
  });
});
