import { describe, expect, test } from 'vitest';
import { dialectOf } from './checked.ts';

/** The payload that the template makes of the value. */
function made(template: unknown, value: unknown, definitions = {}): unknown {
  const dialect = dialectOf({ definitions, events: { e: { payload: template } } });
  return dialect.say('e', value, 'viewing')?.[0]?.payload;
}

/** The payload of a command that the template makes of the arguments of an event. */
function heard(template: unknown, ...args: unknown[]): unknown {
  return dialectOf({ commands: { e: { command: 'acknowledge', with: template } } }).hear('e', args)?.payload;
}

const MESSAGE = { id: 'm1', groupId: '7', content: 'hi', sender: { userId: 'alice' }, tags: ['a', 'b'] };

describe('a template', () => {
  test.each<[string, unknown, unknown, unknown]>([
    ['refers to the whole value', '$', MESSAGE, MESSAGE],
    ['refers to a field of a field', '$.sender.userId', MESSAGE, 'alice'],
    ['refers to an item of a list', '$.tags.1', MESSAGE, 'b'],
    ['stands for itself', { a: [1, true, null, 'text'], b: {} }, MESSAGE, { a: [1, true, null, 'text'], b: {} }],
    ['that is null is null', null, MESSAGE, null],
    ['leaves out fields that are not there', { a: '$.none', b: '$.content' }, MESSAGE, { b: 'hi' }],
    ['keeps the place of an item that is not there', ['$.none', '$.content'], MESSAGE, [null, 'hi']],
    ['keeps a null', { a: '$.none' }, { none: null }, { a: null }],
    ['that is not there is null', '$.none', MESSAGE, null],
    ['reads no field of a text', '$.length', 'text', null],
    ['reads no field of a number', '$.toFixed', 7, null],
    ['reads no field of nothing', '$.a.b', undefined, null],
    ['reads own fields only', ['$.constructor', '$.toString', '$.__proto__'], {}, [null, null, null]],
    ['reads an own field `__proto__`', '$.__proto__.a', JSON.parse('{"__proto__":{"a":1}}'), 1],
  ])('%s', (_title, template, value, expected) => {
    expect(made(template, value)).toStrictEqual(expected);
  });

  test('makes an own field `__proto__`, and changes no prototype', () => {
    const fields = JSON.parse('{"__proto__":{"a":1},"b":2}') as object;
    for (const template of [fields, { $merge: ['$', { c: 3 }] }, { $omit: ['c'] }]) {
      const result = made(template, fields) as Record<string, unknown>;
      expect(Object.getPrototypeOf(result)).toBe(Object.prototype);
      expect(Object.keys(result)).toContain('__proto__');
      expect(result['a']).toBeUndefined();
    }
  });

  test('of a command refers to further arguments of the client', () => {
    expect(heard({ groupId: '$', content: '$1.text' }, '7', { text: 'hi' })).toEqual({ groupId: '7', content: 'hi' });
    expect(heard({ groupId: '$9' }, '7')).toEqual({});
    expect(heard({ groupId: '$' })).toEqual({});
  });
});

describe('an operator', () => {
  test.each<[string, unknown, unknown, unknown]>([
    ['$first takes the first that is there', { $first: ['$.a', '$.b', '$.c'] }, { b: 0, c: 1 }, 0],
    ['$first passes over null', { $first: ['$.a', '$.b'] }, { a: null, b: '' }, ''],
    ['$first takes the last, if none is there', { $first: ['$.a', null] }, {}, null],
    ['$first takes fields of itself', { $first: ['$.id', '$'] }, '7', '7'],
    [
      '$merge prefers later fields',
      { $merge: ['$', { a: 2 }, '$.c'] },
      { a: 1, b: 1, c: { d: 4 } },
      { a: 2, b: 1, c: { d: 4 }, d: 4 },
    ],
    ['$merge passes over texts, lists and nothing', { $merge: ['$', '$.none', 'text', ['a']] }, 'text', {}],
    ['$omit leaves fields out', { $omit: ['a', 'none'] }, { a: 1, b: 2 }, { b: 2 }],
    ['$omit takes another value', { $omit: ['a'], from: '$.c' }, { c: { a: 1, b: 2 } }, { b: 2 }],
    ['$omit keeps what is no object', { $omit: ['a'] }, ['a'], ['a']],
    [
      '$each makes each item',
      { $each: '$.list', as: { id: '$.id' } },
      { list: [{ id: 1 }, {}, 3] },
      [{ id: 1 }, {}, {}],
    ],
    ['$each keeps the place of an item that is not there', { $each: '$', as: '$.id' }, [{ id: 1 }, 2], [1, null]],
    ['$each keeps items as they are without `as`', { $each: '$' }, [1, 2], [1, 2]],
    ['$each is not there where there is no list', { a: { $each: '$.list' } }, { list: 'abc' }, {}],
    ['$lookup takes a value of the table', { $lookup: '$.code', in: { A: 1, '2': { b: '$' } } }, { code: 'A' }, 1],
    ['$lookup finds numbers', { $lookup: '$.code', in: { '2': { b: '$' } } }, { code: 2 }, { b: '$' }],
    ['$lookup finds nothing that is inherited', [{ $lookup: '$', in: {} }], 'constructor', [null]],
    ['$lookup finds no object', [{ $lookup: '$', in: { '[object Object]': 1 } }], {}, [null]],
    ['$number makes numbers', [{ $number: '$.a' }, { $number: '$.b' }], { a: '7', b: '0' }, [7, 0]],
    [
      '$number keeps other texts',
      { $each: '$', as: { $number: '$' } },
      ['07', '-1', '1e3', '9007199254740993', '', ' 1'],
      ['07', '-1', '1e3', '9007199254740993', '', ' 1'],
    ],
    ['$number keeps other values', { $each: '$', as: { $number: '$' } }, [null, true, {}, 1.5], [null, true, {}, 1.5]],
    ['$string makes texts of numbers', { $each: '$', as: { $string: '$' } }, [7, '7', null, {}], ['7', '7', null, {}]],
    ['$text puts fields in', { $text: 'a {sender.userId} in {groupId}!' }, MESSAGE, 'a alice in 7!'],
    ['$text puts numbers in', { $text: '{n}' }, { n: 7 }, '7'],
    ['$text is not there without one of its fields', { a: { $text: '{content} {none}' } }, MESSAGE, {}],
    ['$text puts no objects in', { a: { $text: '{sender}' } }, MESSAGE, {}],
    ['$text without fields is a text', { $text: 'text' }, MESSAGE, 'text'],
    [
      '$literal stands for itself',
      { $literal: { a: '$.content', $first: [] } },
      MESSAGE,
      { a: '$.content', $first: [] },
    ],
  ])('%s', (_title, template, value, expected) => {
    expect(made(template, value)).toStrictEqual(expected);
  });

  test('$use makes what a definition makes of a value', () => {
    const definitions = { name: { n: '$.name' }, person: { $merge: ['$', { $use: 'name', of: '$.profile' }] } };
    const value = { id: 1, profile: { name: 'A' } };
    expect(made({ $use: 'person' }, value, definitions)).toEqual({ ...value, n: 'A' });
    expect(made({ a: { $use: 'name', of: '$.none' } }, value, definitions)).toEqual({});
    expect(made({ $each: '$', as: { $use: 'name' } }, [{ name: 1 }, 2], definitions)).toEqual([{ n: 1 }, {}]);
  });

  test('$merge takes an object with more fields than a call may have arguments', () => {
    const many = Object.fromEntries(Array.from({ length: 200_000 }, (_, index) => [`f${index}`, index]));
    expect(Object.keys(made({ $merge: ['$', { a: 1 }] }, many) as object)).toHaveLength(200_001);
  });
});

describe('an event', () => {
  test('has a name with fields in it, and is not said where one of them is missing', () => {
    const dialect = dialectOf({ events: { e: { event: 'new:{groupId}:{n}' } } });
    expect(dialect.say('e', { groupId: 'a~b', n: 3 }, 'viewing')).toEqual([
      { name: 'new:a~b:3', payload: { groupId: 'a~b', n: 3 }, exceptSender: false },
    ]);
    for (const n of [undefined, null, {}, [], true]) {
      expect(dialect.say('e', { groupId: '7', n }, 'viewing')).toEqual([]);
    }
  });

  test('is never said by a name that a client cannot take, even if another client has made it', () => {
    const dialect = dialectOf({ events: { signal: { event: '{kind}' } } });
    const named = (kind: unknown) => dialect.say('signal', { kind }, 'viewing')?.map(({ name }) => name);
    expect(named('ring')).toEqual(['ring']);
    for (const kind of ['connect', 'disconnect', '__proto__', '', 'new\nline', 'x'.repeat(400)]) {
      expect([kind, named(kind)]).toEqual([kind, []]);
    }
  });

  test('is said where its fields have one of the values, to those whom it is for', () => {
    const dialect = dialectOf({
      events: {
        e: [
          { event: 'one', when: { 'a.b': 1 } },
          { event: 'several', when: { 'a.b': [2, null, true], c: 'x' }, except: 'sender' },
          { event: 'watching', to: 'viewing', only: '$.users' },
          { event: 'away', to: 'not-viewing', only: '$.none' },
        ],
      },
    });
    const said = (payload: unknown, viewing: 'viewing' | 'not-viewing') =>
      dialect.say('e', payload, viewing)?.map(({ name, only, exceptSender }) => [name, only, exceptSender]);
    expect(said({ a: { b: 1 }, users: ['alice', 7, null] }, 'viewing')).toEqual([
      ['one', undefined, false],
      ['watching', ['alice', '7'], false],
    ]);
    expect(said({ a: { b: 2 }, c: 'x' }, 'not-viewing')).toEqual([
      ['several', undefined, true],
      ['away', [], false],
    ]);
    expect(said({ a: { b: '1' }, users: 'bob' }, 'viewing')).toEqual([['watching', ['bob'], false]]);
    expect(dialect.tellsViewersApart).toBe(true);
  });

  test('of another name is said under its own, by the rules of `*`', () => {
    const dialect = dialectOf({ events: { '*': { payload: { data: '$' } }, a: [] } });
    expect(dialect.say('order-paid', 1, 'viewing')).toEqual([
      { name: 'order-paid', payload: { data: 1 }, exceptSender: false },
    ]);
    expect(dialect.say('a', 1, 'viewing')).toEqual([]);
    const silent = dialectOf({ events: { '*': [], pong: [] } });
    expect(silent.say('order-paid', 1, 'viewing')).toEqual([]);
    expect(silent.say('pong', 1, 'viewing')).toEqual([]);
    // A frame of the raw door is left out by its name alone.
    expect(silent.say('ack', 1, 'viewing')).toBeUndefined();
    expect(dialectOf({ events: { a: [] } }).say('order-paid', 1, 'viewing')).toBeUndefined();
    expect(dialectOf({ events: { a: [] } }).say('toString', 1, 'viewing')).toBeUndefined();
  });
});

describe('acknowledgements and refusals', () => {
  const answer = { ok: true, message: { id: 'm1' } };
  const refused = { ok: false, error: { code: 'NOT_A_MEMBER', message: 'no' } };

  test('are as they come, unless the file makes others', () => {
    const dialect = dialectOf({ commands: { send: { command: 'acknowledge' } } });
    expect(dialect.hear('send', ['x'])?.acknowledge(answer)).toEqual(answer);
    expect(dialect.hear('send', ['x'])?.answers(answer)).toEqual([]);
    expect(dialect.refuse(refused)).toEqual(refused);
    expect(dialect.refusals({ code: 'X', message: 'no' })).toEqual([]);
    expect(dialect.httpError({ code: 'X' })).toEqual({ error: { code: 'X' } });
    expect(dialect.hear('other', [])).toBeUndefined();
    expect(dialect.hear('toString', [])).toBeUndefined();
  });

  test('say again what a client has sent, unless it is nested deeper than can be told', () => {
    const dialect = dialectOf({ commands: { leave: { command: 'leave-group', answer: { event: 'left' } } } });
    const told = (more: unknown) => dialect.hear('leave', [{ groupId: '7', more }])?.answers({ groupId: '7' });
    const nested = (levels: number): unknown => JSON.parse('['.repeat(levels) + ']'.repeat(levels));
    expect(told(nested(60))).toEqual([{ name: 'left', payload: { groupId: '7', more: nested(60) } }]);
    expect(told(nested(5_000))).toEqual([{ name: 'left', payload: { groupId: '7' } }]);
  });

  test('are made by templates, those of one command before those of all', () => {
    const dialect = dialectOf({
      acknowledgement: { success: { status: 'ok' }, failure: '$.error.message' },
      refusal: { event: 'failed', payload: { why: '$.code' } },
      httpError: { message: '$.message' },
      commands: {
        send: { command: 'acknowledge', acknowledgement: { id: '$.message.id' } },
        read: { command: 'acknowledge', with: { groupId: '$' }, answer: [{ payload: '$.groupId' }, { event: 'b' }] },
      },
    });
    expect(dialect.hear('send', [])?.acknowledge(answer)).toEqual({ id: 'm1' });
    expect(dialect.hear('read', [])?.acknowledge(answer)).toEqual({ status: 'ok' });
    expect(dialect.refuse(refused)).toBe('no');
    expect(dialect.refusals({ code: 'X', message: 'no' })).toEqual([{ name: 'failed', payload: { why: 'X' } }]);
    expect(dialect.httpError({ code: 'X', message: 'no' })).toEqual({ message: 'no' });
    const silent = dialectOf({ refusal: { payload: '$.none' } });
    expect(silent.refusals({ code: 'X' })).toEqual([{ name: 'error', payload: null }]);
    expect(dialect.hear('read', ['7'])?.answers(answer)).toEqual([
      { name: 'read', payload: '7' },
      { name: 'b', payload: { groupId: '7', ...answer } },
    ]);
  });
});
