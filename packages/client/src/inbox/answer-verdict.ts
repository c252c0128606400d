/** Answers in a row that did not help a group that is being caught up. */
export interface Fruitless {
  /** Number of answers in a row that brought no event. */
  fruitless: number;
  /** Number of answers in a row that promised more without an event: the relay's budget went to other groups. */
  promised: number;
}

export interface AnswerVerdict extends Fruitless {
  /** `again`: ask at once. `wait`: ask again in a while. `give up`: no source has the missing events. */
  next: 'again' | 'wait' | 'give up';
}

/** Most answers in a row that may fail to close the gap before the group goes on without the missing events. */
const MAX_FRUITLESS = 4;
/** Most answers in a row that may promise more without bringing an event. */
const MAX_PROMISES = 100;

/**
 * Decides how catching up goes on after an answer. One that has `moved` the group forward starts the counts anew. After the first
 * fruitless one, which is the relay's, the API is asked at once.
 */
export function judgeAnswer(
  { fruitless, promised }: Fruitless,
  { moved, promisesMore }: { moved: boolean; promisesMore: boolean },
): AnswerVerdict {
  if (moved) return { next: 'again', fruitless: 0, promised: 0 };
  if (promisesMore && promised < MAX_PROMISES) return { next: 'again', fruitless, promised: promised + 1 };
  const next = fruitless >= MAX_FRUITLESS ? 'give up' : fruitless > 0 ? 'wait' : 'again';
  return { next, fruitless: fruitless + 1, promised };
}
