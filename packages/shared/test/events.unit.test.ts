import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { isPublishableEvent, type JsonObject, type JsonValue, toWire } from '../src/index.ts';

const NAME_CHARACTERS = Array.from('ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_:.-');

describe('event names a publisher may choose', () => {
  test.each([
    'new-message',
    'message-updated',
    'message-deleted',
    'reaction-changed',
    'group-updated',
    'member-added',
    'member-removed',
    'event-omitted',
    'order:paid',
    'Order.Paid_2',
    'a',
    'constructor',
    'toString',
    'apiary',
    'API-x',
    'x'.repeat(64),
  ])('%s', (name) => {
    expect(isPublishableEvent(name)).toBe(true);
  });

  test.each([
    ['Socket.IO’s own', ['connect', 'connect_error', 'disconnect', 'disconnecting', 'newListener', 'removeListener']],
    ['Node’s', ['error', '__proto__']],
    [
      'what the relay says itself',
      `joined-groups resumed left-groups receipt presence typing notification group-head session-ending signal
       monitor-snapshot monitor-event`.split(/\s+/),
    ],
    [
      'what clients send',
      `join-group leave-group resume refresh-token send-message typing update-cursors mark-delivered mark-read
       get-presence view-group watch-group signal`.split(/\s+/),
    ],
    ['the internal API’s', ['api-broadcast-message', 'api-notify-users', 'api-', 'api-anything']],
    ['malformed', ['', ' ', 'a b', 'a/b', 'ä', 'a\n', 'a|b', 'a~b', 'x'.repeat(65)]],
  ])('none that is %s', (_, names) => {
    expect(names.filter((name) => isPublishableEvent(name))).toEqual([]);
  });

  test('whatever is allowed has 1 to 64 of the allowed characters and does not begin with api-', () => {
    const nearlyAName = fc.string({
      unit: fc.constantFrom(...NAME_CHARACTERS, ' ', '/', '~', 'é', '\n'),
      maxLength: 66,
    });
    fc.assert(
      fc.property(fc.oneof(nearlyAName, fc.string({ unit: 'binary' })), (name) => {
        if (!isPublishableEvent(name)) return;
        expect(name.length).toBeGreaterThanOrEqual(1);
        expect(name.length).toBeLessThanOrEqual(64);
        expect(Array.from(name).filter((character) => !NAME_CHARACTERS.includes(character))).toEqual([]);
        expect(name.startsWith('api-')).toBe(false);
      }),
    );
  });
});

describe('an event on the wire', () => {
  const fields = fc.dictionary(
    fc.oneof(fc.string(), fc.constantFrom('id', 'groupId', 'epoch', 'seq', '__proto__', 'constructor')),
    fc.jsonValue().map((value) => value as JsonValue),
  );

  test('has the envelope over the publisher’s fields, and every other field as it was', () => {
    fc.assert(
      fc.property(fields, fc.option(fc.record({ epoch: fc.string(), seq: fc.nat() })), (message, position) => {
        const wire = toWire('g', 'e', position, message);
        const envelope = { id: 'e', groupId: 'g', epoch: position?.epoch ?? null, seq: position?.seq ?? null };
        expect(wire).toMatchObject(envelope);
        for (const [key, value] of Object.entries(message).filter(([name]) => !Object.hasOwn(envelope, name))) {
          expect(Object.getOwnPropertyDescriptor(wire, key)?.value).toBe(value);
        }
        const keys = new Set([...Object.keys(message), ...Object.keys(envelope)]);
        expect(new Set(Object.keys(wire))).toEqual(keys);
      }),
    );
  });

  test('takes no position from the publisher’s fields where it has none', () => {
    const forged = { id: 'x', groupId: 'x', epoch: '9-x', seq: 9 };
    expect(toWire('g', 'e', null, forged)).toEqual({ id: 'e', groupId: 'g', epoch: null, seq: null });
  });

  test('leaves the publisher’s object alone', () => {
    const message: JsonObject = Object.freeze({ id: 'x', text: 'hi' });
    expect(toWire('g', 'e', { epoch: '1-a', seq: 1 }, message)).not.toBe(message);
    expect(message).toEqual({ id: 'x', text: 'hi' });
  });

  test('carries a field called __proto__ as a field, and changes no prototype', () => {
    const message = JSON.parse('{"__proto__": {"isAdmin": true}, "text": "hi"}') as JsonObject;
    const wire = toWire('g', 'e', null, message);
    expect(Object.getPrototypeOf(wire)).toBe(Object.prototype);
    expect(wire['isAdmin']).toBeUndefined();
    expect(Object.hasOwn(wire, '__proto__')).toBe(true);
    expect(JSON.stringify(wire)).toContain('"__proto__":{"isAdmin":true}');
  });
});
