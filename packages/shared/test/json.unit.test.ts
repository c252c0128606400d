import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { isJsonObject } from '../src/index.ts';

/** `levels` objects or arrays, one inside the other; the outermost is an object. */
function nested(levels: number, wrap: (inner: unknown) => unknown): unknown {
  let value: unknown = 'leaf';
  for (let level = 1; level < levels; level += 1) value = wrap(value);
  return { value };
}

describe('a plain JSON object', () => {
  test('is whatever JSON.parse makes of an object', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.jsonValue()), (value) => {
        expect(isJsonObject(value)).toBe(true);
        expect(isJsonObject(JSON.parse(JSON.stringify(value)))).toBe(true);
      }),
    );
  });

  test('whatever is accepted can be written as JSON, and is accepted again', () => {
    const values = fc.anything({
      withBigInt: true,
      withDate: true,
      withMap: true,
      withSet: true,
      withTypedArray: true,
    });
    fc.assert(
      fc.property(fc.oneof(values, fc.dictionary(fc.string(), values)), (value) => {
        if (!isJsonObject(value)) return;
        expect(isJsonObject(JSON.parse(JSON.stringify(value)))).toBe(true);
      }),
    );
  });

  test('is no array, scalar, function or nothing', () => {
    const others = [undefined, null, [], [{}], 'a', '', 0, 1, Number.NaN, true, 1n, Symbol('a'), () => ({})];
    expect(others.filter((value) => isJsonObject(value))).toEqual([]);
  });

  test.each([
    ['a buffer', Buffer.from('a')],
    ['a typed array', new Uint8Array(2)],
    ['an array buffer', new ArrayBuffer(2)],
    ['a date', new Date(0)],
    ['a map', new Map([['a', 1]])],
    ['a set', new Set([1])],
    ['an error', new Error('a')],
    ['a boxed string', Object('a')],
    [
      'a class instance',
      new (class Point {
        x = 1;
      })(),
    ],
    ['an object with a prototype of its own', Object.create({ inherited: 1 })],
    ['a bigint', 1n],
    ['a symbol', Symbol('a')],
    ['a function', () => 1],
    ['NaN', Number.NaN],
    ['infinity', Number.NEGATIVE_INFINITY],
  ])('has no %s in it, at any place', (_, value: unknown) => {
    expect(isJsonObject(value)).toBe(false);
    expect(isJsonObject({ value })).toBe(false);
    expect(isJsonObject({ list: [{ value }] })).toBe(false);
  });

  test('may have been made without a prototype, and may have fields that are undefined', () => {
    expect(isJsonObject(Object.assign(Object.create(null), { a: 1 }))).toBe(true);
    expect(isJsonObject({ a: undefined, b: 1 })).toBe(true);
  });

  test('may have a field called __proto__, whose value is checked like any other', () => {
    const parsed: unknown = JSON.parse('{"__proto__": {"isAdmin": true}}');
    expect(isJsonObject(parsed)).toBe(true);
    expect({ isAdmin: false, ...(parsed as object) }.isAdmin).toBe(false);
    const hidden = Object.defineProperty({}, '__proto__', { value: Buffer.from('a'), enumerable: true });
    expect(isJsonObject(hidden)).toBe(false);
  });

  test.each([
    ['objects', (inner: unknown) => ({ inner })],
    ['arrays', (inner: unknown) => [inner]],
  ])('has at most 64 levels of %s', (_, wrap) => {
    expect(isJsonObject(nested(64, wrap))).toBe(true);
    expect(isJsonObject(nested(65, wrap))).toBe(false);
  });

  test('of a hundred thousand levels is refused, not followed', () => {
    expect(isJsonObject(nested(100_000, (inner) => ({ inner })))).toBe(false);
    expect(isJsonObject(nested(100_000, (inner) => [inner]))).toBe(false);
  });

  test('that contains itself is refused, however many ways lead back', () => {
    const direct: Record<string, unknown> = {};
    direct['self'] = direct;
    const viaList: Record<string, unknown> = {};
    viaList['list'] = [viaList, viaList, viaList];
    const many: Record<string, unknown> = {};
    for (const key of 'abcdefgh') many[key] = { many, list: [many] };
    expect([direct, viaList, many].filter((value) => isJsonObject(value))).toEqual([]);
  });
});
