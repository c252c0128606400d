import { describe, expect, test } from 'vitest';
import { type FailureVerdict, judgeFailure } from '../src/connection/connect-failure.ts';
import { ClientError } from '../src/errors.ts';

type By = 'api' | 'relay';
const FIRST = { tokenRefusals: 0, withoutPositions: false };
const SECOND = { tokenRefusals: 1, withoutPositions: true };

describe('after an attempt to connect has failed', () => {
  test.each<[code: string, by: By, first: FailureVerdict, second: FailureVerdict]>([
    ['UNREACHABLE', 'relay', { next: 'later' }, { next: 'later' }],
    ['UNREACHABLE', 'api', { next: 'later' }, { next: 'later' }],
    ['SERVER_DRAINING', 'relay', { next: 'later' }, { next: 'later' }],
    ['TOKEN_UNAVAILABLE', 'api', { next: 'later' }, { next: 'later' }],
    ['TOKEN_EXPIRED', 'api', { next: 'end' }, { next: 'end' }],
    ['FORBIDDEN', 'api', { next: 'end' }, { next: 'end' }],
    ['TOKEN_EXPIRED', 'relay', { next: 'at once', remedy: 'new token' }, { next: 'later', remedy: 'new token' }],
    ['TOKEN_REVOKED', 'relay', { next: 'at once', remedy: 'new token' }, { next: 'end', remedy: 'new token' }],
    ['FORBIDDEN', 'relay', { next: 'at once', remedy: 'new token' }, { next: 'end', remedy: 'new token' }],
    ['INVALID_PAYLOAD', 'relay', { next: 'at once', remedy: 'no positions' }, { next: 'end' }],
    ['GROUP_LIMIT', 'relay', { next: 'at once', remedy: 'no positions' }, { next: 'later' }],
  ])('%s from the %s', (code, by, first, second) => {
    const error = new ClientError(code as never, 'refused');
    expect(judgeFailure(error, by, FIRST)).toEqual(first);
    expect(judgeFailure(error, by, SECOND)).toEqual(second);
  });

  test('a refusal that is retryable is no verdict on the user', () => {
    const error = new ClientError('FORBIDDEN', 'refused', { retryable: true });
    expect(judgeFailure(error, 'api', FIRST)).toEqual({ next: 'later' });
  });
});
