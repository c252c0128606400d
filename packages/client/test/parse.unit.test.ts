import { epochSchema, idSchema, parsePosition, positionSchema, userIdSchema } from '@groupcast/shared';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { idOf, parseEvent, parseGroup, parseHead, parseId, parseMessage, parseUserId } from '../src/base/parse.ts';

const anything = fc.oneof(
  fc.anything(),
  fc.string(),
  fc.integer(),
  fc.double(),
  fc.constantFrom('.', '..', '__proto__', '', 'a'.repeat(128), 'a'.repeat(129), 'ä', 'a b', -0, 2 ** 53, '1', 1),
  fc.stringMatching(/^[A-Za-z0-9_.:~-]{1,10}$/),
);

describe('the client’s parsers', () => {
  test('say the same as the schemas of @groupcast/shared', () => {
    const same = (value: unknown): void => {
      expect(parseId(value)).toBe(idSchema.safeParse(value).data);
      expect(parseUserId(value)).toBe(userIdSchema.safeParse(value).data);
    };
    fc.assert(fc.property(anything, same), { numRuns: 5_000 });
    const epochs = fc.oneof(
      anything,
      fc.stringMatching(/^\d{1,17}-[A-Za-z0-9_]{0,70}$/),
      fc.constantFrom('01-a', '0-a'),
    );
    const samePosition = (epoch: unknown, seq: unknown): void => {
      const value = { epoch, seq };
      expect(parsePosition(value)).toEqual(positionSchema.safeParse(value).data);
      if (epochSchema.safeParse(epoch).success) expect(parsePosition({ epoch, seq: 1 })).toEqual({ epoch, seq: 1 });
    };
    fc.assert(fc.property(epochs, fc.oneof(anything, fc.nat()), samePosition), { numRuns: 5_000 });
  });

  test('nothing that comes in makes them throw', () => {
    fc.assert(
      fc.property(fc.anything(), (value) => {
        for (const parse of [parseMessage, parseGroup, parseHead, (item: unknown) => parseEvent(item, 'x')])
          parse(value);
      }),
    );
  });

  test('numbers become the strings they stand for, everywhere in an event', () => {
    const event = parseEvent(
      { id: 7, groupId: 1, epoch: '1-a', seq: 3, senderId: 5, messageId: 6, n: 8 },
      'message-updated',
    );
    expect(event).toEqual({
      event: 'message-updated',
      id: '7',
      groupId: '1',
      epoch: '1-a',
      seq: 3,
      senderId: '5',
      messageId: '6',
      n: 8,
    });
    expect(idOf(1)).toBe(idOf('1'));
    expect(() => idOf('a b')).toThrow(TypeError);
  });

  test('a message has a sender, a kind, and nothing in `custom` but an object', () => {
    const given = { id: 7, groupId: 1, epoch: '1-a', seq: 3, senderId: 5, content: 'x', createdAt: '' };
    expect(parseMessage({ ...given, custom: 'x', sender: 'y', kind: 7 })).toEqual({
      ...given,
      id: '7',
      groupId: '1',
      senderId: '5',
      sender: { userId: '5' },
      kind: 'text',
    });
    const sender = { userId: 'another', name: 'Eve', picture: '/e.png', custom: { a: 1 }, email: 'e@example.com' };
    expect(parseMessage({ ...given, sender, kind: 'call', custom: { b: 2 } })).toMatchObject({
      sender: { userId: '5', name: 'Eve', picture: '/e.png', custom: { a: 1 } },
      kind: 'call',
      custom: { b: 2 },
    });
    expect(parseMessage({ ...given, senderId: null })).toBeUndefined();
  });

  test('the name on the socket wins over a field of that name', () => {
    const event = { event: 'forged', id: 'a', groupId: 'g', epoch: '1-a', seq: 1 };
    expect(parseEvent(event, 'new-message')?.event).toBe('new-message');
    expect(parseEvent(event)?.event).toBe('forged');
  });

  test('an event without a position is none of the ordered ones', () => {
    expect(parseEvent({ id: 'a', groupId: 'g', epoch: null, seq: null }, 'new-message')).toBeUndefined();
    expect(parseEvent({ id: 'a', groupId: 'g', epoch: '1-a', seq: 0 }, 'new-message')).toBeUndefined();
  });
});
