import { expect, test } from 'vitest';
import { durationText, endText, outcomeText } from '../src/call-texts.ts';

test('the end of a call is told in words, and not to the user who has ended it unanswered', () => {
  const say = (reason: Parameters<typeof endText>[0]['reason'], direction: 'incoming' | 'outgoing' = 'outgoing') =>
    endText({ reason, direction }, 'Bob');
  expect(say('busy')).toBe('Bob is busy.');
  expect(say('missed')).toBe('No answer from Bob.');
  expect(say('missed', 'incoming')).toBe('You have missed a call from Bob.');
  expect(say('declined')).toBe('Bob has declined the call.');
  expect(say('declined', 'incoming')).toBeUndefined();
  expect(say('elsewhere', 'incoming')).toBeUndefined();
});

test('the outcome of a call reads differently to both sides, and an outcome that nobody knows is the message itself', () => {
  const outcome = (custom: Record<string, unknown>, own: boolean) =>
    outcomeText({ content: 'Missed call', custom }, { own, name: 'Bob' });
  expect(outcome({ outcome: 'unavailable', video: true }, true)).toBe('Your video call: not reached');
  expect(outcome({ outcome: 'unavailable', video: true }, false)).toBe('Missed video call from Bob');
  expect(outcome({ outcome: 'declined' }, false)).toBe('Declined call from Bob');
  for (const strange of ['constructor', '', 7, null, {}])
    expect(outcome({ outcome: strange }, true)).toBe('Missed call');
});

test('the length of a call has hours only where there are some', () => {
  expect([0, 7_400, 750_000, 3_723_000].map(durationText)).toEqual(['0:00', '0:07', '12:30', '1:02:03']);
  expect(durationText(-50)).toBe('0:00');
});
