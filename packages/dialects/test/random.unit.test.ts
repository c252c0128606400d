import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { BUILT_IN, checkDialect, type Dialect, EVENTS, loadDialect } from '../src/index.ts';
import { dialectOf, KNOWN, loaded } from './checked.ts';

/** Words that mean something in a file, so that random files come close to good ones. */
const WORDS = [
  '$',
  '$.groupId',
  '$.a.b',
  '$1',
  '$.__proto__',
  '$first',
  '$merge',
  '$omit',
  '$each',
  '$lookup',
  '$number',
  '$string',
  '$text',
  '$literal',
  '$use',
  'as',
  'of',
  'in',
  'from',
  'one',
  '{groupId}',
  'e:{a}',
  '__proto__',
  'constructor',
  'groupId',
  'content',
];
const word = fc.oneof(fc.constantFrom(...WORDS), fc.string({ maxLength: 8 }));
/** JSON of these words, as a parser makes it: with own fields called `__proto__`. */
const json = fc
  .letrec<{ value: unknown }>((tie) => ({
    value: fc.oneof(
      { depthSize: 'small', withCrossShrink: true },
      word,
      fc.integer(),
      fc.boolean(),
      fc.constant(null),
      fc.array(tie('value'), { maxLength: 4 }),
      fc.array(fc.tuple(word, tie('value')), { maxLength: 4 }).map((entries) => Object.fromEntries(entries)),
    ),
  }))
  .value.map((value) => JSON.parse(JSON.stringify(value)) as unknown);
/** Templates without a fault, but that one `$each` may be inside another. */
const template = fc.letrec<{ value: unknown }>((tie) => {
  const list = fc.array(tie('value'), { minLength: 1, maxLength: 3 });
  return {
    value: fc.oneof(
      { depthSize: 'small', withCrossShrink: true },
      fc.constantFrom<unknown>('$', '$.groupId', '$.a.b', '$.__proto__.a', '$.list', 'text', 7, null, true),
      fc.record({ a: tie('value'), list }, { requiredKeys: [] }),
      fc.record({ $first: list }),
      fc.record({ $merge: list }),
      fc.record({ $omit: fc.constant(['a']), from: tie('value') }),
      fc.record({ $each: fc.constant('$.list'), as: tie('value') }),
      fc.record({ $lookup: tie('value'), in: fc.constant({ a: 1, '7': { b: null } }) }),
      fc.record({ $number: tie('value') }),
      fc.record({ $string: tie('value') }),
      fc.record({ $text: fc.constantFrom('a', '{groupId}', 'b:{a.b}:{list}') }),
      fc.record({ $literal: json }),
      fc.record({ $use: fc.constantFrom('one', 'two'), of: tie('value') }),
    ),
  };
}).value;
const mostly = <Good, Other>(good: fc.Arbitrary<Good>, other: fc.Arbitrary<Other>): fc.Arbitrary<Good | Other> =>
  fc.oneof({ arbitrary: good, weight: 60 }, { arbitrary: other, weight: 1 });
const names = (known: readonly string[]) => mostly(fc.constantFrom(...known), word);
const record = (key: fc.Arbitrary<string>, value: fc.Arbitrary<unknown>) =>
  fc.array(fc.tuple(key, value), { maxLength: 3 }).map((entries) => Object.fromEntries(entries) as unknown);
const made = mostly(template, json);
const saying = fc.record({ event: names(['e', 'e:{groupId}', '{kind}']), payload: made }, { requiredKeys: [] });
const rule = mostly(
  fc.record(
    {
      event: names(['e', 'e:{groupId}', '{kind}']),
      payload: made,
      to: fc.constantFrom('members', 'viewing', 'not-viewing'),
      except: fc.constant('sender'),
      only: made,
      when: record(fc.constantFrom('groupId', 'a.b'), mostly(fc.constantFrom(7, 'a', null), json)),
    },
    { requiredKeys: [] },
  ),
  json,
);
const command = mostly(
  fc.record({
    command: names(['acknowledge', 'ping', 'send-message']),
    with: mostly(fc.record({ $merge: fc.tuple(template) }), json),
    acknowledgement: made,
    answer: saying,
  }),
  json,
);
const route = fc.record({
  method: fc.constantFrom('POST', 'PUT'),
  path: names(['/a/:id', '/b/:id']),
  command: names(['send-message', 'list-messages']),
  with: mostly(fc.constant({ groupId: '$.params.id', content: '$.body.content' }), json),
  answer: made,
});
const file = fc.record(
  {
    name: names(['test']),
    extends: names(BUILT_IN),
    groups: names(['none', 'token']),
    definitions: mostly(fc.constant({ one: { a: '$.a' }, two: { $use: 'one', of: '$.list' } }), record(word, json)),
    commands: record(names(['send', 'ask']), command),
    events: record(names(['new-message', 'signal']), fc.oneof(rule, fc.array(rule, { maxLength: 3 }))),
    acknowledgement: fc.record({ success: made, failure: made }, { requiredKeys: [] }),
    refusal: saying,
    http: fc.array(route, { maxLength: 1 }),
    httpError: made,
  },
  { requiredKeys: ['name', 'definitions'] },
);

/** Says that the value is JSON that a parser gives back. */
function isSerialisable(value: unknown): void {
  expect(typeof JSON.stringify(value)).toBe('string');
}

/** Asks a dialect everything, with these payloads. */
function ask(dialect: Dialect, event: string, args: readonly unknown[]): void {
  const [payload] = args;
  const answer = { ok: true, ...(typeof payload === 'object' ? payload : {}) };
  for (const viewing of ['viewing', 'not-viewing'] as const) {
    for (const said of dialect.say(event, payload, viewing) ?? []) isSerialisable(said);
  }
  for (const name of [event, ...dialect.commandNames]) {
    const heard = dialect.hear(name, args);
    if (!heard) continue;
    isSerialisable({ payload: heard.payload });
    isSerialisable(heard.acknowledge(answer));
    isSerialisable(heard.answers(answer));
  }
  for (const value of [dialect.refuse(answer), dialect.refusals(answer), dialect.httpError(answer)])
    isSerialisable(value);
  for (const { input, answer: answerOf } of dialect.http) {
    isSerialisable({ input: input({ params: payload, query: payload, body: payload }) });
    isSerialisable(answerOf(answer));
  }
}

describe('random files', () => {
  test('either compile or have their faults named, and those that compile never throw', () => {
    const outcomes = { compiled: 0, refused: 0 };
    fc.assert(
      fc.property(file, fc.array(json, { minLength: 1, maxLength: 3 }), names(EVENTS), (value, args, event) => {
        const { dialect, faults } = checkDialect(value, KNOWN);
        expect(dialect === undefined).toBe(faults.length > 0);
        for (const fault of faults) expect(fault).toMatch(/^[^\n]+: [^\n]+$/);
        outcomes[dialect ? 'compiled' : 'refused'] += 1;
        if (dialect) for (const name of [event, 'new-message', 'signal']) ask(dialect, name, args);
      }),
      { numRuns: 400 },
    );
    expect(Math.min(outcomes.compiled, outcomes.refused)).toBeGreaterThan(20);
  });

  test('that are no files at all are refused', () => {
    fc.assert(
      fc.property(json, (value) => {
        const { dialect, faults } = checkDialect(value, KNOWN);
        expect(dialect === undefined).toBe(faults.length > 0);
      }),
    );
  });

  test('with one part of a good one replaced either compile or have their faults named', () => {
    const paths = (value: unknown, path: string[] = []): string[][] =>
      typeof value === 'object' && value !== null
        ? [path, ...Object.entries(value).flatMap(([key, each]) => paths(each, [...path, key]))]
        : [path];
    const good = [...KNOWN.entries()].map(([name, value]) => ({ name, value, paths: paths(value).slice(1) }));
    const mutation = fc
      .constantFrom(...good)
      .chain(({ value, paths: all }) =>
        fc.tuple(fc.constant(value), fc.constantFrom(...all), fc.option(json, { nil: undefined })),
      );
    const outcomes = { compiled: 0, refused: 0 };
    fc.assert(
      fc.property(mutation, json, ([value, path, replacement], payload) => {
        const mutated = structuredClone(value) as Record<string, unknown>;
        let at = mutated;
        for (const key of path.slice(0, -1)) at = at[key] as Record<string, unknown>;
        at[path.at(-1) ?? ''] = replacement;
        const { dialect, faults } = checkDialect(mutated, KNOWN);
        expect(dialect === undefined).toBe(faults.length > 0);
        outcomes[dialect ? 'compiled' : 'refused'] += 1;
        if (dialect) ask(dialect, 'new-message', [payload]);
      }),
      { numRuns: 400 },
    );
    expect(Math.min(outcomes.compiled, outcomes.refused)).toBeGreaterThan(20);
  });

  test('are refused by their text, whatever it is', () => {
    fc.assert(
      fc.property(word, (name) => {
        const { dialect, faults } = loadDialect(name);
        expect(dialect === undefined).toBe(faults.length > 0);
      }),
    );
  });
});

describe('the dialects that come with Groupcast', () => {
  test.each(BUILT_IN)('%s never throws, whatever comes', (name) => {
    const dialect = loaded(name);
    const anything = fc.oneof(json, fc.anything({ withBigInt: false, withMap: true, withDate: true }));
    fc.assert(
      fc.property(names([...EVENTS, ...dialect.commandNames]), fc.array(anything, { maxLength: 3 }), (event, args) => {
        const { say, hear } = dialect;
        const [payload] = args;
        for (const viewing of ['viewing', 'not-viewing'] as const) say(event, payload, viewing);
        const heard = hear(event, args);
        heard?.acknowledge({ ok: true });
        heard?.answers({ ok: true, message: payload });
        for (const each of dialect.http) {
          each.input({ params: payload, query: payload, body: payload });
          each.answer({ message: payload, messages: payload });
        }
        dialect.refusals({ code: payload, message: payload });
        dialect.httpError({ message: payload });
      }),
    );
  });
});

describe('the work of a template', () => {
  /** Counts the reads of fields and items while the dialect says an event with this many of them. */
  function readsOf(dialect: Dialect, size: number): number {
    let reads = 0;
    const counted = <Value extends object>(value: Value): Value =>
      new Proxy(value, {
        get(target, key, receiver) {
          reads += 1;
          return Reflect.get(target, key, receiver) as unknown;
        },
      });
    const fields = Object.fromEntries(Array.from({ length: size }, (_, index) => [`f${index}`, index]));
    const list = Array.from({ length: size }, () => counted({ ...fields, id: 1 }));
    for (const said of dialect.say('e', counted({ ...fields, list: counted(list) }), 'viewing') ?? [])
      isSerialisable(said.name);
    return reads;
  }

  test.each<[string, unknown]>([
    ['$merge', { $merge: Array.from({ length: 64 }, () => '$') }],
    ['$first', { $first: ['$.a', '$.b', '$'] }],
    ['$omit', { $omit: ['f0'] }],
    ['$each', { $each: '$.list', as: { id: '$.id', other: { $number: '$.f1' } } }],
    ['$use', { $use: 'all' }],
  ])('%s grows with the payload, and no faster', (_name, payload) => {
    const definitions = {
      all: { $merge: ['$', { list: { $each: '$.list', as: { $use: 'item' } } }] },
      item: { id: '$.id' },
    };
    const dialect = dialectOf({ definitions, events: { e: { payload } } });
    const [small, large] = [readsOf(dialect, 50), readsOf(dialect, 500)];
    expect(large).toBeLessThanOrEqual(small * 10 + 100);
  });
});
