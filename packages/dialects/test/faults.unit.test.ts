import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { loadDialect, loadDialectFile } from '../src/index.ts';
import { dialectOf, faultsOf, warningsOf } from './checked.ts';

const route = {
  method: 'GET',
  path: '/a/:chatId',
  command: 'list-messages',
  with: { groupId: '$.params.chatId' },
  answer: '$',
};
const nested = (depth: number): unknown => (depth === 0 ? '$' : { a: nested(depth - 1) });
const payload = (template: unknown) => ({ events: { e: { payload: template } } });

describe('a fault is named with its path', () => {
  test.each<[string, unknown, string | RegExp]>([
    ['no object', [], 'the file: expected object, received array'],
    ['no name', { name: undefined }, 'name: is missing'],
    [
      'a name in capitals',
      { name: 'Chat' },
      'name: must be 1 to 64 lower case letters, digits and hyphens, and begin with a letter',
    ],
    ['an unknown key', { comands: {} }, 'comands: is no key of a dialect here; did you mean "commands"?'],
    [
      'a key that is like no other',
      { xyz: {} },
      /^xyz: is no key of a dialect here; name, description, noun, extends, .* are$/,
    ],
    [
      'an unknown key of an event',
      { events: { e: [{}, { evnt: 'x' }] } },
      'events.e[1].evnt: is no key of a dialect here; did you mean "event"?',
    ],
    [
      'an unknown key of a command',
      { commands: { ping: { comand: 'x' } } },
      'commands.ping.comand: is no key of a dialect here; did you mean "command"?',
    ],
    [
      'an unknown key of an answer',
      { commands: { ping: { answer: { paylod: 1 } } } },
      'commands.ping.answer.paylod: is no key of a dialect here; did you mean "payload"?',
    ],
    [
      'an unknown key of a route',
      { http: [{ ...route, answr: 1 }] },
      'http[0].answr: is no key of a dialect here; did you mean "answer"?',
    ],
    [
      'an unknown key of the acknowledgement',
      { acknowledgement: { sucess: 1 } },
      'acknowledgement.sucess: is no key of a dialect here; did you mean "success"?',
    ],
    ['an event of another type', { events: { e: 'x' } }, 'events.e: must be an object, or a list of them'],
    ['a value of another type', { events: { e: { event: 3 } } }, 'events.e.event: expected string, received number'],
    ['an unknown value', { groups: 'all' }, 'groups: expected one of "token"|"back-end"|"none"'],
    [
      'a condition that is no value',
      { events: { e: { when: { a: {} } } } },
      'events.e.when.a: must be a text, a number, true, false or null, or a list of at most 64 of them',
    ],
    [
      'a condition of no field',
      { events: { e: { when: { 'a b': 1 } } } },
      /^events\.e\.when\.a b: "\$\.a b" is no reference/,
    ],
    ['a method in lower case', { http: [{ ...route, method: 'get' }] }, /^http\[0\]\.method: expected one of "GET"/],
    ['a path that is none', { http: [{ ...route, path: 'a//b' }] }, /^http\[0\]\.path: must be a path such as/],
    ['a parameter without a name', { http: [{ ...route, path: '/a/:' }] }, /^http\[0\]\.path: must be a path such as/],
    [
      'a GET that changes something',
      { http: [{ ...route, command: 'send-message', with: { groupId: '$.params.chatId', content: '$.query.c' } }] },
      'http[0].method: GET must change nothing',
    ],
    ['a path of another folder', { http: [{ ...route, path: '/a/../b' }] }, /^http\[0\]\.path: must be a path such as/],
    [
      'two parameters of one name',
      { http: [{ ...route, path: '/a/:chatId/:chatId' }] },
      'http[0].path: names a parameter twice',
    ],
    [
      'two routes of one form',
      { http: [route, { ...route, path: '/a/:id', with: { groupId: '$.params.id' } }] },
      'http[1]: there is another route for GET /a/:id',
    ],
    [
      'a parameter that the path does not have',
      { http: [{ ...route, with: { groupId: '$.params.chatID' } }] },
      'http[0].with.groupId: "$.params.chatID" names no parameter of the path; did you mean "chatId"?',
    ],
    [
      'a part that requests do not have',
      { http: [{ ...route, with: { groupId: '$.parms.id' } }] },
      'http[0].with.groupId: "$.parms.id" names no part of a request; did you mean "params"?',
    ],
    [
      'a whole request',
      { http: [{ ...route, with: { groupId: '$' } }] },
      /^http\[0\]\.with\.groupId: "\$" is the whole request/,
    ],
    [
      'an unknown command of a route',
      { http: [{ ...route, command: 'list-message' }] },
      'http[0].command: "list-message" is no command; did you mean "list-messages"?',
    ],
    ['a status of a refusal', { http: [{ ...route, status: 404 }] }, /^http\[0\]\.status: /],
    [
      'an unknown command',
      { commands: { x: { command: 'send-mesage' } } },
      'commands.x.command: "send-mesage" is no command; did you mean "send-message"?',
    ],
    [
      'a command by the word of another system',
      { commands: { x: { command: 'join_room' } } },
      'commands.x.command: "join_room" is no command; did you mean "join-group"?',
    ],
    [
      'an unknown command without another name',
      { commands: { 'jion-group': {} } },
      'commands.jion-group: "jion-group" is no command; did you mean "join-group"?',
    ],
    [
      'a command that is like no other',
      { commands: { x: { command: 'toString' } } },
      /^commands\.x\.command: "toString" is no command; join-group, .* are$/,
    ],
    [
      'a name that no client can send',
      { commands: { disconnect: { command: 'ping' } } },
      'commands.disconnect: "disconnect" is no name that a client may send',
    ],
    [
      'a name of the broadcast API',
      { commands: { 'api-x': { command: 'ping' } } },
      'commands.api-x: "api-x" is no name that a client may send',
    ],
    [
      'a field that the command needs',
      { commands: { x: { command: 'send-message', with: { groupId: '$' } } } },
      'commands.x.with: "content" is missing, which the command needs',
    ],
    [
      'a field that the command does not take',
      { commands: { x: { command: 'join-group', with: { groupid: '$', groupId: '$' } } } },
      'commands.x.with.groupid: is no field of the command; did you mean "groupId"?',
    ],
    [
      'a name that no client can listen to',
      { events: { e: { event: 'connect' } } },
      'events.e.event: "connect" is no name that a client may listen to',
    ],
    [
      'a name of an answer',
      { commands: { ping: { answer: { event: 'a\nb' } } } },
      /^commands\.ping\.answer\.event: .* is no name that a client may listen to$/,
    ],
    [
      'a name of a refusal',
      { refusal: { event: 'disconnect' } },
      'refusal.event: "disconnect" is no name that a client may listen to',
    ],
    ['a field of a name', { events: { e: { event: 'a:{b c}' } } }, /^events\.e\.event: "\$\.b c" is no reference/],
    ['other names of other events', { events: { '*': { event: 'x' } } }, 'events.*: other events keep their names'],
    ['a name that is a prototype', JSON.parse('{"commands":{"__proto__":{}}}'), 'commands: "__proto__" is no name'],
    [
      'a dialect to extend that is not there',
      { extends: 'natve' },
      'extends: there is no dialect "natve"; did you mean "native"?',
    ],
    ['a reference that is none', payload('$a'), /^events\.e\.payload: "\$a" is no reference: /],
    [
      'a reference with an empty field',
      payload({ a: '$.a..b' }),
      /^events\.e\.payload\.a: "\$\.a\.\.b" is no reference/,
    ],
    [
      'a second argument of an event',
      payload(['$1']),
      /^events\.e\.payload\[0\]: "\$1" is there only in the "with" of a command/,
    ],
    [
      'a tenth argument',
      { commands: { x: { command: 'acknowledge', with: { groupId: '$10' } } } },
      /^commands\.x\.with\.groupId: "\$10" is no reference/,
    ],
    [
      'an unknown operator',
      payload({ a: { $frist: [] } }),
      'events.e.payload.a: "$frist" is no operator; did you mean "$first"?',
    ],
    [
      'an operator that is like no other',
      payload({ $constructor: 1 }),
      /^events\.e\.payload: "\$constructor" is no operator; \$first, .* are$/,
    ],
    [
      'fields beside an operator',
      payload({ $first: ['$'], a: 1 }),
      'events.e.payload: "a" must not stand beside "$first"',
    ],
    [
      'two operators',
      payload({ $first: ['$'], $merge: ['$'] }),
      'events.e.payload: "$merge" must not stand beside "$first"',
    ],
    [
      'a misspelt field of an operator',
      payload({ $use: 'x', off: '$' }),
      'events.e.payload: "off" must not stand beside "$use"; did you mean "of"?',
    ],
    ['$first without a list', payload({ $first: '$' }), 'events.e.payload.$first: must be a list of 1 to 64 templates'],
    ['$merge of nothing', payload({ $merge: [] }), 'events.e.payload.$merge: must be a list of 1 to 64 templates'],
    ['$omit without names', payload({ $omit: [1] }), 'events.e.payload.$omit: must be a list of at most 64 names'],
    [
      '$lookup without a table',
      payload({ $lookup: '$', in: [] }),
      /^events\.e\.payload\.in: must be an object of at most 64 values/,
    ],
    ['$text without a text', payload({ $text: ['$'] }), 'events.e.payload.$text: must be a text, with {field} in it'],
    [
      '$text with a field that is none',
      payload({ $text: 'a {} b' }),
      /^events\.e\.payload\.\$text: "\$\." is no reference/,
    ],
    [
      '$each inside another',
      payload({ $each: '$', as: { $each: '$' } }),
      'events.e.payload.as: "$each" must not be inside another one',
    ],
    [
      '$use of nothing',
      { definitions: { a: 1 }, ...payload({ $use: 'b' }) },
      'events.e.payload.$use: "b" is no definition; there: a',
    ],
    [
      '$use of something inherited',
      payload({ $use: 'toString' }),
      'events.e.payload.$use: "toString" is no definition; there: none is',
    ],
    [
      'a definition that uses itself',
      { definitions: { a: { $use: 'a' } } },
      /^definitions\.a\.\$use: definition "a" uses itself/,
    ],
    [
      'a fault of a definition that nobody uses',
      { definitions: { a: '$a' } },
      /^definitions\.a: "\$a" is no reference/,
    ],
  ])('%s', (_title, file, expected) => {
    const faults = faultsOf(Array.isArray(file) ? file : { name: 'test', ...(file as object) });
    expect(faults).toEqual([typeof expected === 'string' ? expected : expect.stringMatching(expected)]);
  });

  test('all of them at once', () => {
    const file = {
      name: 'test',
      commands: { a: {}, b: {} },
      events: { c: { payload: '$x' }, d: { payload: { $y: 1 } } },
    };
    expect(faultsOf(file).map((fault) => fault.split(':', 1)[0])).toEqual([
      'commands.a',
      'commands.b',
      'events.c.payload',
      'events.d.payload',
    ]);
  });
});

describe('a file has bounds', () => {
  const uses = (name: string) => Array.from({ length: 30 }, () => ({ $use: name }));
  const many = (count: number, value: unknown) =>
    Object.fromEntries(Array.from({ length: count }, (_, index) => [`e${index}`, value]));

  test.each<[string, object, string | RegExp]>([
    ['257 events', { events: many(257, []) }, 'events: must have at most 256 entries'],
    ['257 commands', { commands: many(257, { command: 'ping' }) }, 'commands: must have at most 256 entries'],
    ['65 definitions', { definitions: many(65, '$') }, 'definitions: must have at most 64 entries'],
    [
      'nine things that one event becomes',
      { events: { e: Array.from({ length: 9 }, () => ({})) } },
      /^events\.e: Too big/,
    ],
    [
      '33 routes',
      { http: Array.from({ length: 33 }, (_, n) => ({ ...route, path: `/${n}/:chatId` })) },
      /^http: Too big/,
    ],
    ['a name of 201 characters', { events: { ['e'.repeat(201)]: [] } }, /^events\.e{201}: /],
    [
      'a template 17 deep',
      payload(nested(16)),
      /^events\.e\.payload(?:\.a){16}: templates must not be nested more than 16 deep$/,
    ],
    ['JSON 65 deep', payload(nested(65)), 'events.e.payload: must be JSON, nested at most 64 deep'],
    [
      'a list of 65 templates',
      payload({ $first: Array.from({ length: 65 }, () => '$') }),
      'events.e.payload.$first: must be a list of 1 to 64 templates',
    ],
    [
      '501 parts of a template',
      payload(Array.from({ length: 500 }, () => '$')),
      /^events\.e\.payload: has too many parts: it has 500 at most/,
    ],
    [
      '501 parts with those of definitions',
      { definitions: { a: uses('b'), b: uses('c'), c: ['$'] }, ...payload({ $use: 'a' }) },
      /^events\.e\.payload: has too many parts: it has 500 at most/,
    ],
    [
      'definitions four deep',
      { definitions: { a: { $use: 'b' }, b: { $use: 'c' }, c: { $use: 'd' }, d: '$' }, ...payload({ $use: 'a' }) },
      /^definitions\.c\.\$use: definition "d" uses itself, or definitions are nested more than 3 deep$/,
    ],
  ])('%s', (_title, file, expected) => {
    const [fault] = faultsOf({ name: 'test', ...file });
    expect(fault).toEqual(typeof expected === 'string' ? expected : expect.stringMatching(expected));
  });

  test.each<[string, object]>([
    ['256 events', { events: many(256, []) }],
    ['a template 16 deep', payload(nested(15))],
    ['500 parts of a template', payload(Array.from({ length: 499 }, () => '$'))],
    [
      'definitions three deep',
      { definitions: { a: { $use: 'b' }, b: { $use: 'c' }, c: '$' }, ...payload({ $use: 'a' }) },
    ],
  ])('%s are within them', (_title, file) => {
    expect(faultsOf({ name: 'test', ...file })).toEqual([]);
  });

  test('names 50 faults at most, each in 500 characters and a mark', () => {
    expect(faultsOf({ name: 'test', events: many(200, { event: 'connect' }) })).toHaveLength(50);
    const [fault] = faultsOf({ name: 'test', ...payload({ [`$${'x'.repeat(5_000)}`]: 1 }) });
    expect(fault).toHaveLength(502);
  });

  test('all templates of a file have 20,000 parts at most', () => {
    const list = Array.from({ length: 400 }, () => '$');
    expect(faultsOf({ name: 'test', definitions: { a: list }, events: many(40, { payload: { $use: 'a' } }) })).toEqual(
      [],
    );
    expect(
      faultsOf({ name: 'test', definitions: { a: list }, events: many(60, { payload: { $use: 'a' } }) }),
    ).toContainEqual(
      expect.stringMatching(/^events\.e\d+\.payload: has too many parts: all templates of a file have 20000 at most/),
    );
  });
});

describe('a warning is named with its path', () => {
  test.each<[string, object, string[]]>([
    [
      'an event that is nearly one of ours',
      { events: { 'new-mesage': {} } },
      [
        'events.new-mesage: is no event of Groupcast\'s own, and nearly "new-message"; it is fine if a publisher sends it',
      ],
    ],
    [
      'an event with other separators',
      { events: { new_message: {} } },
      [
        'events.new_message: is no event of Groupcast\'s own, and nearly "new-message"; it is fine if a publisher sends it',
      ],
    ],
    ['an event of a publisher', { events: { 'order-created': {}, 'new-order': {}, '*': [] } }, []],
    [
      'a definition that nobody uses',
      { definitions: { a: '$', b: '$' }, events: { e: { payload: { $use: 'b' } } } },
      ['definitions.a: is used by nothing'],
    ],
    [
      'a command of which nobody is told',
      {
        commands: { say: { command: 'send-message', with: { groupId: '$', content: '$1' } } },
        events: { 'new-message': [] },
      },
      ['commands.say: nobody is told of it: the dialect does not say "new-message"'],
    ],
    [
      'a command of which others are told',
      { commands: { say: { command: 'send-message', with: { groupId: '$', content: '$1' } } }, events: { '*': {} } },
      [],
    ],
    [
      'marks of which nobody is told',
      { commands: { 'mark-read': {} } },
      [
        'commands.mark-read: nobody is told of it: the dialect does not say "receipt" nor "read-cursor" nor "message-status"',
      ],
    ],
    [
      'marks of which nobody is told, with all other events',
      { commands: { 'mark-read': {} }, events: { receipt: [], 'read-cursor': [], '*': {} } },
      [
        'commands.mark-read: nobody is told of it: the dialect does not say "receipt" nor "read-cursor" nor "message-status"',
      ],
    ],
    [
      'a command whose fields have other names',
      { commands: { join: { command: 'join-group' } } },
      ['commands.join: has no "with": what the client sends has to have "groupId" by these names'],
    ],
    [
      'those who view, and no command that opens',
      { events: { e: { to: 'viewing' } } },
      ['events.e: is for connections that have the group on screen, and no command opens one'],
    ],
    [
      'those who view, and a command that only says what is on screen',
      { extends: 'native', commands: { 'view-group': {} }, events: { e: { to: 'viewing' } } },
      ['events.e: is for connections that have the group on screen, and no command opens one'],
    ],
    [
      'those who view, and one that does',
      { commands: { open: { command: 'open-group', with: { groupId: '$' } } }, events: { e: { to: 'viewing' } } },
      [],
    ],
    ['nothing of what the file extends', { extends: 'underscore-events', events: { '*': {} } }, []],
  ])('%s', (_title, file, expected) => {
    expect(warningsOf(file)).toEqual(expected);
  });
});

describe('a dialect that extends another', () => {
  test('has everything that it does not replace', () => {
    const dialect = dialectOf({
      extends: 'underscore-events',
      definitions: { message: { id: '$.id' } },
      commands: { typing: {}, leave_conversation: { command: 'leave-group', with: { groupId: '$' } } },
      events: { typing: { event: 'typing' } },
    });
    const hears = (event: string) => dialect.hear(event, ['7'])?.command;
    expect(['join_conversation', 'leave_conversation', 'typing'].map(hears)).toEqual([
      'open-group',
      'leave-group',
      'typing',
    ]);
    expect([dialect.name, dialect.groups]).toEqual(['test', 'back-end']);
    expect(dialect.say('typing', 1, 'viewing')).toHaveLength(1);
    expect(dialect.say('new-message', { id: 'm1', groupId: '7' }, 'viewing')).toEqual([
      { name: 'message_received', payload: { id: 'm1' }, exceptSender: false },
    ]);
    expect(dialect.refusals({ code: 'X' })).toEqual([{ name: 'error', payload: { code: 'X' } }]);
  });
});

describe('loading', () => {
  const folder = mkdtempSync(join(tmpdir(), 'dialects-'));
  afterAll(() => rmSync(folder, { recursive: true }));
  const write = (name: string, text: string): string => {
    writeFileSync(join(folder, name), text);
    return join(folder, name);
  };

  test('finds a dialect by its name, and a file by its path', () => {
    expect(loadDialect('aurora').dialect?.name).toBe('aurora');
    const path = write('own.json', '\uFEFF{"name": "own", "events": {"a": {"event": "b"}}}');
    expect(loadDialect(path)).toMatchObject({ dialect: { name: 'own' }, faults: [], warnings: [] });
  });

  test.each<[string, string, string | RegExp]>([
    ['a misspelt name', 'aurra', 'there is no dialect "aurra"; did you mean "aurora"?'],
    [
      'an unknown name',
      'toString',
      /^there is no dialect "toString"; native, .* are, and a path to a file of your own$/,
    ],
    ['a file that is not there', './none.json', /^unable to read it; ENOENT/],
    ['a folder', tmpdir(), 'unable to read it; it is no file'],
    ['a device', '/dev/zero', 'unable to read it; it is no file'],
  ])('names %s', (_title, name, expected) => {
    const { dialect, faults } = loadDialect(name);
    expect(dialect).toBeUndefined();
    expect(faults).toEqual([typeof expected === 'string' ? expected : expect.stringMatching(expected)]);
  });

  test('names what is wrong with a file, and its line', () => {
    expect(loadDialectFile(write('a.json', '{\n "name": "a",\n}')).faults).toEqual([
      expect.stringMatching(/^it is no JSON; .*\(line 3\b/),
    ]);
    expect(loadDialectFile(write('b.json', '{"name": "aurora"}')).faults).toEqual([
      'name: "aurora" comes with Groupcast; give yours another one',
    ]);
    expect(loadDialectFile(write('c.json', `{"name": "c"}${' '.repeat(262_144)}`)).faults).toEqual([
      'the file has 262157 bytes, 262144 at most',
    ]);
    expect(loadDialectFile(write('d.json', `{"name":"d","httpError":${'['.repeat(100_000)}`)).faults).toEqual([
      expect.stringMatching(/^it is no JSON; /),
    ]);
    const deep = `{"name":"e","httpError":${'['.repeat(100_000)}${']'.repeat(100_000)}}`;
    expect(loadDialectFile(write('e.json', deep)).faults).toEqual(['httpError: must be JSON, nested at most 64 deep']);
    const twice = '{"name":"g","events":{"a":[{},{"payload":{"x":":","x":"{","\\u0079":1}}],"b":{}, "b":{}}}';
    expect(loadDialectFile(write('g.json', twice)).faults).toEqual([
      'events.a[1].payload.x: is there twice',
      'events.b: is there twice',
    ]);
    mkdirSync(join(folder, 'f.json'));
    expect(loadDialectFile(join(folder, 'f.json')).faults).toEqual(['unable to read it; it is no file']);
  });
});
