/** SQL of a time as the cursors of pages have it: UTC, to the microsecond, so that no row is left out or comes twice. */
export const timeKey = (expression: string): string =>
  `to_char(${expression} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')`;

/** A time as the database writes it. Years before 1 and after 9999 are valid in PostgreSQL or in JavaScript, but not in both. */
const TIME = /^(?!0000)\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/;

/** Whether both read the text as the same time. They do not for the 30th of February, or for 24 o'clock. */
export function isTimeKey(text: unknown): text is string {
  if (typeof text !== 'string' || !TIME.test(text)) return false;
  const time = new Date(text);
  return !Number.isNaN(time.getTime()) && time.toISOString().slice(0, 19) === text.slice(0, 19);
}
