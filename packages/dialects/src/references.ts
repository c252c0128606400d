import type { Compiling, Template } from './compiling.ts';

const REFERENCE = /^\$(\d?)((?:\.[^.$\s{}]+)*)$/;
const PLACEHOLDER = /\{([^{}]*)\}/g;

type Where = Pick<Compiling, 'faults' | 'path' | 'values' | 'refuses'>;

/** Reads own fields only: the names come from a file, and the value from a client. */
function readPath(value: unknown, names: readonly string[]): unknown {
  let at = value;
  for (const name of names) {
    if (typeof at !== 'object' || at === null || !Object.hasOwn(at, name)) return undefined;
    at = (at as Record<string, unknown>)[name];
  }
  return at;
}

/** Compiles `$`, `$.field.field` and, where there are several values, `$1.field`. */
export function compileReference(text: string, { faults, path, values, refuses }: Where): Template {
  const match = REFERENCE.exec(text);
  const index = Number(match?.[1] ?? 0);
  const names = (match?.[2] ?? '').split('.').slice(1);
  const fault = !match
    ? 'is no reference: "$" and "$.field.field" are, and {"$literal": …} is for other values that begin with "$"'
    : index >= values
      ? 'is there only in the "with" of a command, for the second argument of a client; here there is "$" alone'
      : index === 0
        ? refuses?.(names)
        : undefined;
  if (fault !== undefined) {
    faults.add(path, `"${text}" ${fault}`);
    return () => undefined;
  }
  return names.length === 0 ? (context) => context[index] : (context) => readPath(context[index], names);
}

/** Whether a text has a `{field}` in it. */
export function hasPlaceholder(text: string): boolean {
  return text.search(PLACEHOLDER) !== -1;
}

/** The text with something harmless in place of each `{field}`. */
export function withoutPlaceholders(text: string): string {
  return text.replaceAll(PLACEHOLDER, 'x');
}

/** Compiles a text with `{path}` in it, such as `message:new:{groupId}`: it is not there where a field is neither text nor a number. */
export function compileText(text: string, where: Where): Template {
  const parts: (string | Template)[] = [];
  let end = 0;
  for (const match of text.matchAll(PLACEHOLDER)) {
    const [whole, path = ''] = match;
    parts.push(text.slice(end, match.index));
    parts.push(compileReference(`$.${path}`, where));
    end = match.index + whole.length;
  }
  const rest = text.slice(end);
  if (parts.length === 0) return () => text;
  return (context) => {
    let said = '';
    for (const part of parts) {
      const value = typeof part === 'string' ? part : part(context);
      if (typeof value !== 'string' && typeof value !== 'number') return undefined;
      said += String(value);
    }
    return said + rest;
  };
}
