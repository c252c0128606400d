import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { idSchema, userIdSchema } from '../src/ids.ts';
import { groupRoom, MONITOR_ROOM, parseId, parseUserId, userRoom } from '../src/index.ts';

/** The contract's alphabet, written down once more: the source has it as a pattern. */
const ID_CHARACTERS = Array.from('ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.:~-');
const RESERVED = ['.', '..', '__proto__'];
/** Printable ASCII without space. */
const USER_ID_CHARACTERS = Array.from({ length: 0x7e - 0x20 }, (_, index) => String.fromCharCode(0x21 + index));

function stringOf(characters: readonly string[], maxLength: number): fc.Arbitrary<string> {
  return fc.string({ unit: fc.constantFrom(...characters), minLength: 1, maxLength });
}
const anId = stringOf(ID_CHARACTERS, 128).filter((id) => !RESERVED.includes(id));
const aUserId = stringOf(USER_ID_CHARACTERS, 255);
const anInteger = fc.oneof(fc.nat(), fc.maxSafeNat());

/** Values that no schema may take for an id, whichever kind of id. */
const NEVER: [string, unknown][] = [
  ['nothing', undefined],
  ['null', null],
  ['an empty string', ''],
  ['a space', ' '],
  ['an inner space', 'a b'],
  ['a trailing space', 'a '],
  ['a trailing line feed', 'a\n'],
  ['a NUL', 'a\0'],
  ['a letter outside ASCII', 'ä'],
  ['an emoji', '👋'],
  ['a full-width digit', '１'],
  ['an invisible character', 'a\u200b'],
  ['an object', {}],
  ['an object that reads as a string', { toString: () => 'a' }],
  ['a boxed string', Object('a')],
  ['an array', []],
  ['an array of one id', ['a']],
  ['true', true],
  ['false', false],
  ['a bigint', 1n],
  ['a symbol', Symbol('a')],
  ['a function', () => 'a'],
  ['a date', new Date(0)],
  ['a buffer', Buffer.from('a')],
  ['a fraction', 1.5],
  ['a negative integer', -1],
  ['NaN', Number.NaN],
  ['infinity', Number.POSITIVE_INFINITY],
  ['the first unsafe integer', Number.MAX_SAFE_INTEGER + 1],
  ['a number that prints with an exponent', 1e21],
];

describe('ids of groups, messages and events', () => {
  test('every string of the allowed characters is an id, and stays as it is', () => {
    fc.assert(fc.property(anId, (id) => parseId(id) === id));
  });

  test('whatever is accepted matches the rule of the contract', () => {
    const nearlyAnId = stringOf([...ID_CHARACTERS, ' ', '/', '\\', '%', '#', '|', '\n', '\0', 'é', '{'], 130);
    fc.assert(
      fc.property(fc.oneof(nearlyAnId, fc.string({ unit: 'binary' }), fc.anything()), (value) => {
        const id = parseId(value);
        if (id === undefined) return;
        expect(id.length).toBeGreaterThanOrEqual(1);
        expect(id.length).toBeLessThanOrEqual(128);
        expect(Array.from(id).filter((character) => !ID_CHARACTERS.includes(character))).toEqual([]);
        expect(RESERVED).not.toContain(id);
        expect(['string', 'number']).toContain(typeof value);
      }),
    );
  });

  test('one character outside the alphabet is enough to refuse', () => {
    const outside = fc.string({ unit: 'binary', minLength: 1, maxLength: 1 });
    fc.assert(
      fc.property(
        anId.filter((id) => id.length < 127),
        outside.filter((character) => !ID_CHARACTERS.includes(character)),
        fc.nat(),
        (id, character, at) => {
          const cut = at % (id.length + 1);
          expect(parseId(id.slice(0, cut) + character + id.slice(cut))).toBeUndefined();
        },
      ),
    );
  });

  test('a safe non-negative integer and its decimal string are the same id (G11)', () => {
    fc.assert(
      fc.property(anInteger, (integer) => {
        expect(parseId(integer)).toBe(integer.toString(10));
        expect(parseId(integer)).toBe(parseId(integer.toString(10)));
      }),
    );
  });

  test('a number that is no safe non-negative integer is refused', () => {
    const fraction = fc.double({ noNaN: true, noDefaultInfinity: true }).filter((value) => !Number.isInteger(value));
    const unsafe = fc.integer({ min: 53, max: 1_000 }).map((exponent) => 2 ** exponent);
    const negative = fc.maxSafeInteger().filter((value) => value < 0);
    fc.assert(
      fc.property(fc.oneof(fraction, unsafe, negative), (number) => {
        expect(parseId(number)).toBeUndefined();
        expect(parseUserId(number)).toBeUndefined();
      }),
    );
  });

  test.each(NEVER)('%s is no id', (_, value) => {
    expect(parseId(value)).toBeUndefined();
  });

  test.each(RESERVED)('the reserved name %s is no id', (name) => {
    expect(parseId(name)).toBeUndefined();
  });

  test.each(['...', '.a', 'a.', '_proto_', '__proto', 'constructor', 'toString', '0', '007', '-', '~'])(
    '%s only resembles a reserved name and is an id',
    (id) => {
      expect(parseId(id)).toBe(id);
    },
  );

  test.each(['auth0|x', 'a@example.com', 'a/b', 'a%2fb', 'a+b', 'a=b', 'a,b', '{a}', '*'])(
    '%s would need escaping in a URL, a room or a key, and is no id',
    (id) => {
      expect(parseId(id)).toBeUndefined();
    },
  );

  test('128 characters are allowed, 129 are not', () => {
    expect(parseId('x'.repeat(128))).toBe('x'.repeat(128));
    expect(parseId('x'.repeat(129))).toBeUndefined();
  });

  test('a name that looks like a room is an ordinary id, and its room is nobody else’s', () => {
    for (const id of ['user-alice', 'group-1', 'monitors', 'group-user-alice']) expect(parseId(id)).toBe(id);
    expect(groupRoom('user-alice')).toBe('group-user-alice');
    fc.assert(
      fc.property(fc.oneof(anId, fc.constantFrom('user-', 'monitors')), aUserId, (groupId, userId) => {
        expect(groupRoom(groupId)).not.toBe(userRoom(userId));
        expect([groupRoom(groupId), userRoom(userId)]).not.toContain(MONITOR_ROOM);
      }),
    );
  });
});

describe('user ids', () => {
  test('every string of printable ASCII without space is a user id, and stays as it is', () => {
    fc.assert(fc.property(aUserId, (id) => parseUserId(id) === id));
  });

  test('whatever is accepted is printable ASCII without space, 1 to 255 characters', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string({ unit: 'binary-ascii', maxLength: 260 }), fc.anything()), (value) => {
        const id = parseUserId(value);
        if (id === undefined) return;
        expect(id.length).toBeLessThanOrEqual(255);
        expect(Array.from(id).filter((character) => !USER_ID_CHARACTERS.includes(character))).toEqual([]);
        expect(id.length).toBeGreaterThanOrEqual(1);
      }),
    );
  });

  test.each(['auth0|x', 'a@example.com', 'CN=a,O=b', 'demo:alice', '!', '~', 'https://id.example.com/1?a=b#c'])(
    'an identity provider’s %s is a user id',
    (id) => {
      expect(parseUserId(id)).toBe(id);
    },
  );

  test('a safe non-negative integer and its decimal string are the same user', () => {
    fc.assert(fc.property(anInteger, (integer) => parseUserId(integer) === integer.toString(10)));
  });

  test.each(NEVER)('%s is no user id', (_, value) => {
    expect(parseUserId(value)).toBeUndefined();
  });

  test('255 characters are allowed, 256 are not', () => {
    expect(parseUserId('x'.repeat(255))).toBe('x'.repeat(255));
    expect(parseUserId('x'.repeat(256))).toBeUndefined();
  });
});

test('an id inside a payload is judged as one by itself is', () => {
  const nearly = stringOf([...USER_ID_CHARACTERS, ' ', 'é'], 260);
  const value = fc.oneof(
    anId,
    aUserId,
    nearly,
    fc.constantFrom(...RESERVED, -0, ...NEVER.map(([, never]) => never)),
    anInteger,
    fc.anything(),
  );
  fc.assert(
    fc.property(value, (candidate) => {
      expect(parseId(candidate)).toBe(idSchema.safeParse(candidate).data);
      expect(parseUserId(candidate)).toBe(userIdSchema.safeParse(candidate).data);
    }),
    { numRuns: 1_000 },
  );
});
