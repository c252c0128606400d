import type { JsonValue } from '@groupcast/shared';

/** Whether PostgreSQL stores it as text: NUL is valid JSON but cannot be stored, and lone surrogates are not text. */
export function isStorable(text: string): boolean {
  return !text.includes('\0') && !/\p{Surrogate}/u.test(text);
}

/** Deepest nesting that is read: more could exhaust the stack, and is refused. */
const MAX_DEPTH = 64;

/** Whether every text in it can be stored, names of fields included. */
export function isStorableJson(value: JsonValue | undefined, depth = 0): boolean {
  if (typeof value === 'string') return isStorable(value);
  if (typeof value !== 'object' || value === null) return true;
  if (depth >= MAX_DEPTH) return false;
  if (Array.isArray(value)) return value.every((item) => isStorableJson(item, depth + 1));
  return Object.entries(value).every(([name, item]) => isStorable(name) && isStorableJson(item, depth + 1));
}
