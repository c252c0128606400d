import { z } from 'zod';

/** Most issues that an error names: an answer must not grow with the faults of a request. */
const MAX_ISSUES = 10;
/** Longest path of an issue, in characters: a path is made of the sender's own keys. */
const MAX_PATH_LENGTH = 200;

/** A fault of one field of a payload. */
export interface Issue {
  path: string;
  message: string;
}

/** Answers the first 10 issues, each with a path and a text of at most 200 characters, and how many there are in all. */
export function boundIssues<T>(
  issues: readonly T[],
  pathOf: (issue: T) => string,
  textOf: (issue: T) => string,
): { issues: Issue[]; issueCount: number } {
  const named = issues.slice(0, MAX_ISSUES).map((issue) => {
    const path = pathOf(issue);
    return {
      path: path.length > MAX_PATH_LENGTH ? `${path.slice(0, MAX_PATH_LENGTH)}…` : path,
      message: textOf(issue).slice(0, MAX_PATH_LENGTH),
    };
  });
  return { issues: named, issueCount: issues.length };
}

/** Whether an object has more keys of its own than `max`; looks at no more than it must. */
export function hasMoreKeysThan(value: object, max: number): boolean {
  let count = 0;
  for (const key in value) {
    if (!Object.hasOwn(value, key)) continue;
    count += 1;
    if (count > max) return true;
  }
  return false;
}

const isStructural = new Uint8Array(128);
for (const character of ',:[{') isStructural[character.charCodeAt(0)] = 1;

/**
 * Whether a JSON text has more commas, colons and opening brackets than `max`, those in strings included: the cost of parsing goes by
 * them and not by bytes. It looks at about one character per nanosecond.
 */
export function hasMoreItemsThan(text: string, max: number): boolean {
  let count = 0;
  for (let index = 0; index < text.length; index += 1) {
    // Characters beyond ASCII are out of range: they are no structure.
    count += isStructural[text.charCodeAt(index)] ?? 0;
    if (count > max) return true;
  }
  return false;
}

/** The bound of each array and record below, for the test that walks all schemas. */
const bounds = new WeakMap<z.ZodType, number>();

/** The most items or keys that a schema made by `boundedArray` or `boundedRecord` lets its inner schema see. */
export function boundOf(schema: z.ZodType): number | undefined {
  return bounds.get(schema);
}

function counted<Output, Input>(
  inner: z.ZodType<Output, Input>,
  max: number,
  isTooLarge: (value: unknown) => boolean,
  message: string,
): z.ZodType<Output, Input> {
  // Zod's own `max` is checked after each item was parsed, and reports an issue for each wrong one.
  const schema = z.preprocess((value, context) => {
    if (!isTooLarge(value)) return value;
    context.addIssue({ code: 'custom', message });
    return z.NEVER;
  }, inner) as z.ZodType<Output, Input>;
  bounds.set(schema, max);
  return schema;
}

/** An array whose items are counted before any of them is parsed. */
export function boundedArray<S extends z.ZodType>(
  item: S,
  { min = 0, max }: { min?: number; max: number },
): z.ZodType<z.output<S>[], z.input<S>[]> {
  const isTooLarge = (value: unknown): boolean => Array.isArray(value) && value.length > max;
  return counted(z.array(item).min(min).max(max), max, isTooLarge, `must have at most ${max} items`);
}

/** An object whose keys are counted before any of them is parsed. */
export function boundedRecord<K extends z.core.$ZodRecordKey & z.ZodType<string>, V extends z.ZodType>(
  key: K,
  value: V,
  { max }: { max: number },
): z.ZodType<Record<string, z.output<V>>, Record<string, z.input<V>>> {
  const isTooLarge = (input: unknown): boolean =>
    typeof input === 'object' && input !== null && hasMoreKeysThan(input, max);
  const inner = z.record(key, value) as unknown as z.ZodType<Record<string, z.output<V>>, Record<string, z.input<V>>>;
  return counted(inner, max, isTooLarge, `must have at most ${max} keys`);
}
