import { type ErrorCode, GroupcastError } from '@groupcast/shared';
import { describe, expect, test } from 'vitest';
import { backoff, boundDelay, remedyFor } from '../src/outbox/remedy.ts';

function failure(code: ErrorCode, { head, ofEvent = true }: { head?: unknown; ofEvent?: boolean } = {}) {
  const error = new GroupcastError(code, 'unable to', head === undefined ? {} : { details: { head } });
  return { seq: 5, error, ofEvent };
}
const at = (seq: number) => ({ epoch: '2-a', seq });

describe('an event that the relay did not take', () => {
  test.each([
    [
      'is sent again in a new epoch, where the relay holds another one',
      failure('CONFLICT', { head: at(9) }),
      { kind: 'open-epoch', head: at(9) },
    ],
    ['waits, where the relay does not say what it holds', failure('CONFLICT'), { kind: 'wait' }],
    ['follows those that the relay is missing', failure('POSITION_GAP', { head: at(3) }), { kind: 'go-back', to: 3 }],
    ['waits, where the gap would lie ahead', failure('POSITION_GAP', { head: at(5) }), { kind: 'wait' }],
    [
      'waits, where the head is no position',
      failure('POSITION_GAP', { head: { epoch: 'x', seq: -1 } }),
      { kind: 'wait' },
    ],
    ['is omitted, where it is refused for good', failure('PAYLOAD_TOO_LARGE'), { kind: 'omit' }],
    ['is not omitted for what belongs to it', failure('INVALID_PAYLOAD', { ofEvent: false }), { kind: 'wait' }],
    [
      'waits, where its membership change met a conflict',
      failure('CONFLICT', { head: at(9), ofEvent: false }),
      { kind: 'wait' },
    ],
    ['waits for a relay that is away', failure('RELAY_UNAVAILABLE'), { kind: 'wait' }],
  ])('%s', (_what, given, remedy) => {
    expect(remedyFor(given)).toEqual(remedy);
  });
});

describe('the delay before the next attempt', () => {
  test.each([
    [0, 50, 100],
    [1, 100, 200],
    [3, 400, 800],
    [1_000, 7_500, 15_000],
  ])('after %i attempts that failed is between %i and %i ms', (attempts, least, most) => {
    for (let n = 0; n < 50; n += 1) {
      expect(backoff(attempts)).toBeGreaterThanOrEqual(least);
      expect(backoff(attempts)).toBeLessThanOrEqual(most);
    }
  });

  test.each([
    [0, 100],
    [700, 700],
    [86_400_000, 15_000],
  ])('that the relay asks for is kept within bounds: %i ms', (asked, delay) => {
    expect(boundDelay(asked)).toBe(delay);
  });
});
