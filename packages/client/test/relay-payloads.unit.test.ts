import { describe, expect, test } from 'vitest';
import { parseAnswer, parseAnswers, parseJoined } from '../src/connection/relay-payloads.ts';

const position = { epoch: '1-a', seq: 7 };
const event = { event: 'new-message', id: 'm7', groupId: 'g', epoch: '1-a', seq: 7 };

describe('the payloads of the relay about a group', () => {
  test.each([
    [undefined, { kind: 'refused', code: undefined }],
    ['nonsense', { kind: 'refused', code: undefined }],
    [{ error: { code: 'NOT_A_MEMBER' } }, { kind: 'refused', code: 'NOT_A_MEMBER' }],
    [
      { error: {}, recovered: true, position },
      { kind: 'refused', code: undefined },
    ],
    [
      { recovered: false, position },
      { kind: 'stands', position, more: false },
    ],
    [
      { recovered: false, position: null },
      { kind: 'stands', position: undefined, more: false },
    ],
    [
      { recovered: true, events: [event] },
      { kind: 'stands', position: undefined, more: false },
    ],
    [
      { recovered: true, position: { epoch: '1', seq: 7 } },
      { kind: 'stands', position: undefined, more: false },
    ],
    [
      { recovered: true, position, events: [event], more: true },
      { kind: 'recovered', page: { events: [event], position, more: true }, more: true },
    ],
    [
      { recovered: true, position, events: [{ ...event, seq: 0 }, null, event], more: 'yes' },
      { kind: 'recovered', page: { events: [event], position, more: false }, more: false },
    ],
  ])('%j', (value, answer) => {
    expect(parseAnswer(value)).toEqual(answer);
  });

  test('a group may be called like a field that every object has', () => {
    const groups = JSON.parse('{"constructor": {"recovered": false}, "__proto__": {"recovered": false}, "a b": {}}');
    expect([...parseAnswers(groups).keys()]).toEqual(['constructor']);
    expect(parseAnswers(null).size).toBe(0);
  });

  test('entries of joined-groups that cannot be read are left out, and ids become strings', () => {
    expect(parseJoined({ groups: [{ groupId: 1, position }, { groupId: 'a b' }, 7], undecided: [2, {}] })).toEqual({
      groups: [{ groupId: '1', position }],
      undecided: ['2'],
    });
    expect(parseJoined(undefined)).toEqual({ groups: [], undecided: [] });
  });
});
