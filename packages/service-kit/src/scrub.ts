const REDACTED = '[redacted]';
/** Bounds of one error in a log line. */
const MAX_DEPTH = 5;
const MAX_VALUES = 200;
const MAX_KEYS = 30;
const MAX_ITEMS = 10;
const MAX_CAUSES = 8;
const MAX_TEXT = 8_192;

const SECRET_NAME =
  /(?:token|secret|password|passwd|passphrase|authorization|cookie|credentials?|api[_-]?key|private[_-]?key|connection[_-]?string)$|^(?:auth|pass|pwd|jwt)$/i;
/**
 * Fields in which libraries attach their input to an error: the arguments of a Redis command (a password, a message), the parameters of a
 * statement and the row that PostgreSQL refused, an invalid URL, the claims of a token.
 */
const INPUT_NAME =
  /^(?:args|params|parameters|values|detail|where|internalQuery|input|payload|body|content|attachments)$/i;

/** Whether a text is worth the work below. */
const SUSPECT = /:\/\/|eyJ|bearer|passw|pwd|secret|token|api[_-]?key|args beginning/i;
const NAMES = '(?:password|passwd|pwd|secret|token|api[_-]?key)';
/** Patterns that look at no character of any text more than a few times, and that cross no quotation mark. */
const PATTERNS: readonly (readonly [RegExp, string])[] = [
  [/(:\/\/)[^\s/?#"'\\<>]*@/g, `$1${REDACTED}@`],
  [/(?<![\w-])eyJ[\w-]{5,}\.[\w-]{5,}\.[\w-]*/g, REDACTED],
  [/\b(bearer\s+)[^\s"'\\,[]+/gi, `$1${REDACTED}`],
  [new RegExp(`(${NAMES}\\s{0,9}=\\s{0,9}\\\\?["']?)[^\\s"'&,;\\\\[]+`, 'gi'), `$1${REDACTED}`],
  [new RegExp(`(${NAMES}\\\\?["']\\s{0,9}:\\s{0,9}\\\\?["'])[^"'\\\\[]+`, 'gi'), `$1${REDACTED}`],
  [/(with args beginning with:)(?:\s{0,9}'[^'"\\]*')+/g, `$1 ${REDACTED}`],
];

/** The text without passwords in URLs, tokens, and values that are called a secret. It may be a line of JSON, and stays one. */
export function scrubText(text: string): string {
  if (!SUSPECT.test(text)) return text;
  return PATTERNS.reduce((scrubbed, [pattern, replacement]) => scrubbed.replace(pattern, replacement), text);
}

/** The text is scrubbed before it is cut, since no pattern recognises half a token. */
function clip(text: string): string {
  const scrubbed = scrubText(text.slice(0, MAX_TEXT * 4));
  return scrubbed.length > MAX_TEXT ? `${scrubbed.slice(0, MAX_TEXT)}… (${text.length} characters)` : scrubbed;
}

function isErrorLike(value: unknown): value is Error {
  return typeof value === 'object' && value !== null && typeof (value as { message?: unknown }).message === 'string';
}

/** The type of an object that looks like an error: neither its constructor nor its name has to be there. */
function typeOf(error: { constructor?: unknown; name?: unknown }): string {
  const { name } = (error.constructor as { name?: unknown } | undefined) ?? {};
  const type = name === 'Object' ? error.name : name;
  return typeof type === 'string' ? clip(type) : 'Error';
}

function causesOf(error: Error): Error[] {
  const chain: Error[] = [];
  for (let next: unknown = error; isErrorLike(next) && chain.length < MAX_CAUSES; next = next.cause) {
    if (chain.includes(next)) break;
    chain.push(next);
  }
  return chain;
}

/** Copies values within the bounds, each object once. */
function createCopier(): (value: unknown, depth: number) => unknown {
  const seen = new Set<unknown>();
  let left = MAX_VALUES;

  function copyFields(value: object, skip: readonly string[], depth: number): Record<string, unknown> {
    const copied: Record<string, unknown> = {};
    const names = Object.keys(value).filter((name) => !skip.includes(name));
    for (const name of names.slice(0, MAX_KEYS)) {
      let field: unknown;
      try {
        field = (value as Record<string, unknown>)[name];
      } catch {
        continue;
      }
      const isHidden = (SECRET_NAME.test(name) && typeof field !== 'number') || INPUT_NAME.test(name);
      copied[name] = isHidden && field !== undefined && field !== null ? REDACTED : copy(field, depth + 1);
    }
    return copied;
  }

  function copyError(error: Error, depth: number): unknown {
    const chain = causesOf(error);
    for (const cause of chain) seen.add(cause);
    const errors = (error as AggregateError).errors as unknown;
    return {
      type: typeOf(error),
      message: clip(chain.map(({ message }) => message).join(': ')),
      stack: clip(chain.map(({ stack }) => (typeof stack === 'string' ? stack : '')).join('\ncaused by: ')),
      ...(Array.isArray(errors) ? { aggregateErrors: copy(errors, depth + 1) } : {}),
      ...copyFields(error, ['type', 'message', 'stack', 'cause', 'errors'], depth),
      // The fields of a library's cause are as telling as those of the error itself.
      ...(chain[1] ? { cause: copyFields(chain[1], ['message', 'stack', 'cause', 'errors'], depth + 1) } : {}),
    };
  }

  function copy(value: unknown, depth: number): unknown {
    if (typeof value === 'string') return clip(value);
    if (typeof value === 'bigint') return value.toString();
    if (typeof value === 'function' || typeof value === 'symbol') return undefined;
    if (typeof value !== 'object' || value === null) return value;
    left -= 1;
    if (seen.has(value) || depth > MAX_DEPTH || left < 0) return '[left out]';
    seen.add(value);
    if (ArrayBuffer.isView(value)) return `[${value.byteLength} bytes]`;
    if (value instanceof Date) return value;
    if (isErrorLike(value)) return copyError(value, depth);
    if (Array.isArray(value)) return value.slice(0, MAX_ITEMS).map((item) => copy(item, depth + 1));
    return copyFields(value, [], depth);
  }
  return copy;
}

/**
 * An error as it may be logged, whichever library made it: type, message and stack with those of its causes, and what else it
 * carries, without secrets and without what the library was asked to do. Bounded in depth, number and length.
 */
export function serializeError(error: unknown): unknown {
  return createCopier()(error, 0);
}
