/** The header, the field of a broadcast and the field of an event that name the span from which an operation came (W3C Trace Context). */
export const TRACEPARENT = 'traceparent';

const NOTHING_BUT_ZEROS = /^0+$/;
/** Version, trace, span and flags. A later version may add parts. */
const PARTS = /^(?!ff)([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/;
const MAX_LENGTH = 128;

/** Returns a valid `traceparent` in the form of version 00, which everybody reads; `undefined` for anything else, which counts as not given. */
export function parseTraceparent(value: unknown): string | undefined {
  if (typeof value !== 'string' || value.length > MAX_LENGTH) return undefined;
  const [, version = '', traceId = '', spanId = '', flags = '', more] = PARTS.exec(value) ?? [];
  if (traceId === '' || NOTHING_BUT_ZEROS.test(traceId) || NOTHING_BUT_ZEROS.test(spanId)) return undefined;
  if (version === '00' && more !== undefined) return undefined;
  return `00-${traceId}-${spanId}-${flags}`;
}
