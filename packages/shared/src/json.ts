export type JsonValue = string | number | boolean | null | JsonValue[] | JsonObject;
export interface JsonObject {
  [key: string]: JsonValue;
}

/**
 * A value that `JSON.stringify` makes a plain JSON object of: any ordinary interface, without an index signature, with dates in it or not,
 * but no array. The index lets an interface and an object literal pass: with `unknown` instead of `any`, an interface would not.
 */
export interface JsonObjectInput {
  // oxlint-disable-next-line typescript/no-explicit-any
  readonly [key: string]: any;
  readonly [Symbol.iterator]?: never;
}

/** Deepest nesting that is accepted: serialising a deeper one could exhaust the stack. */
const MAX_DEPTH = 64;

/** Whether a value is plain JSON, at most 64 levels deep. */
export function isJson(value: unknown, depth = 0): value is JsonValue {
  switch (typeof value) {
    case 'string':
    case 'boolean':
      return true;
    case 'number':
      return Number.isFinite(value);
    case 'object': {
      if (value === null) return true;
      if (depth >= MAX_DEPTH) return false;
      if (Array.isArray(value)) return value.every((item) => isJson(item, depth + 1));
      const prototype: unknown = Object.getPrototypeOf(value);
      if (prototype !== Object.prototype && prototype !== null) return false;
      return Object.values(value).every((item) => item === undefined || isJson(item, depth + 1));
    }
    default:
      return false;
  }
}

/** Whether a value is a plain JSON object: without dates, buffers or class instances, at most 64 levels deep, and no array itself. */
export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && isJson(value, 0);
}
