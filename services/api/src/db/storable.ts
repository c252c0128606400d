import type { JsonValue } from '@groupcast/shared';

/** Whether PostgreSQL takes it as text: NUL is valid JSON and cannot be stored, lone surrogates are no text. */
export function isStorable(text: string): boolean {
  return !text.includes('\0') && !/\p{Surrogate}/u.test(text);
}

/** Deeper nesting is refused unread: it could exhaust the stack. */
const MAX_DEPTH = 64;

/** The same for every text in it, names of fields included. */
export function isStorableJson(value: JsonValue | undefined, depth = 0): boolean {
  if (typeof value === 'string') return isStorable(value);
  if (typeof value !== 'object' || value === null) return true;
  if (depth >= MAX_DEPTH) return false;
  if (Array.isArray(value)) return value.every((item) => isStorableJson(item, depth + 1));
  return Object.entries(value).every(([name, item]) => isStorable(name) && isStorableJson(item, depth + 1));
}
