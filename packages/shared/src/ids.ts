import { z } from 'zod';

/** Group, message and event ids have 1–128 characters that need no escaping in a URL, a room or a Redis key. */
const ID_PATTERN = /^[A-Za-z0-9_.:~-]{1,128}$/;
/** User ids belong to the identity provider (`auth0|x`, e-mail addresses): 1–255 printable ASCII characters without spaces. */
const USER_ID_PATTERN = /^[\x21-\x7e]{1,255}$/;
/** Ids of valid characters that have a meaning of their own as a path segment or as an object key. */
const RESERVED_IDS: ReadonlySet<string> = new Set(['.', '..', '__proto__']);

const ID_RULE = 'must be 1-128 characters of A-Z a-z 0-9 _ . : ~ - or a non-negative integer';
const USER_ID_RULE = 'must be 1-255 printable ASCII characters without space or a non-negative integer';

/** Ids are strings on the wire; a safe non-negative integer becomes its decimal string, so `1` and `"1"` are one id. */
const integerId = z.int({ error: ID_RULE }).nonnegative();

export const idSchema = z
  .union(
    [
      z
        .string()
        .regex(ID_PATTERN, { error: ID_RULE })
        .refine((id) => !RESERVED_IDS.has(id), { error: 'is a reserved name' }),
      integerId,
    ],
    { error: ID_RULE },
  )
  .transform(String);

export const userIdSchema = z
  .union([z.string().regex(USER_ID_PATTERN, { error: USER_ID_RULE }), integerId], { error: USER_ID_RULE })
  .transform(String);

function parseInteger(value: unknown): string | undefined {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 ? String(value) : undefined;
}

/**
 * Answers the id in its one spelling, or `undefined` where the value is none. Decides as `idSchema` does, without the 0.5 kB of garbage
 * that a schema makes per id: a token names up to 1,000.
 */
export function parseId(value: unknown): string | undefined {
  if (typeof value !== 'string') return parseInteger(value);
  return ID_PATTERN.test(value) && !RESERVED_IDS.has(value) ? value : undefined;
}

/** Decides as `userIdSchema` does. */
export function parseUserId(value: unknown): string | undefined {
  if (typeof value !== 'string') return parseInteger(value);
  return USER_ID_PATTERN.test(value) ? value : undefined;
}
