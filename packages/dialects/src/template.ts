import type { JsonValue } from '@groupcast/shared';

/** Values that a template reads: `$` is the first, `$1` the second. */
export type Context = readonly unknown[];
/** Makes a payload of another. `undefined` is a field that is not there, and is left out. */
export type Template = (context: Context) => unknown;

/** Faults of a file, each with the path to what is wrong. */
export interface Faults {
  add(path: string, message: string): void;
}

/** How deep templates may be nested, and how often one definition may use another. */
const MAX_DEPTH = 16;
const MAX_USES = 3;
const MAX_ARGUMENTS = 9;
const REFERENCE = /^\$(\d?)((?:\.[^.$\s{}]+)*)$/;
const INTEGER = /^(?:0|[1-9]\d{0,15})$/;
const PLACEHOLDER = /\{([^{}]*)\}/g;

interface Compiling {
  faults: Faults;
  definitions: Readonly<Record<string, JsonValue>>;
  path: string;
  depth: number;
  /** Definitions that are being compiled, from the outermost. */
  uses: readonly string[];
  inEach: boolean;
}

type Fields = Readonly<Record<string, JsonValue>>;

function isFields(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Reads own fields only: the names come from a file, and the value from a client. */
function readPath(value: unknown, names: readonly string[]): unknown {
  let at = value;
  for (const name of names) {
    if (typeof at !== 'object' || at === null || !Object.hasOwn(at, name)) return undefined;
    at = (at as Record<string, unknown>)[name];
  }
  return at;
}

function compileReference(text: string, where: Compiling): Template {
  const match = REFERENCE.exec(text);
  if (!match || Number(match[1]) > MAX_ARGUMENTS) {
    where.faults.add(
      where.path,
      `"${text}" is no reference: "$" and "$.field.field" are, and "$1" for a second argument`,
    );
    return () => undefined;
  }
  const index = Number(match[1] ?? 0);
  const names = (match[2] ?? '').split('.').slice(1);
  return names.length === 0 ? (context) => context[index] : (context) => readPath(context[index], names);
}

/** A text with `{path}` in it, such as `message:new:{groupId}`. It is not there where one of them is neither text nor a number. */
export function compileText(text: string, where: { faults: Faults; path: string }): Template {
  const parts: (string | Template)[] = [];
  let end = 0;
  for (const match of text.matchAll(PLACEHOLDER)) {
    const [whole, path = ''] = match;
    parts.push(text.slice(end, match.index));
    parts.push(compileReference(`$.${path}`, { ...where, definitions: {}, depth: 0, uses: [], inEach: false }));
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

function toNumber(value: unknown): unknown {
  if (typeof value !== 'string' || !INTEGER.test(value)) return value;
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}

function listOf(value: JsonValue | undefined, where: Compiling): Template[] {
  if (!Array.isArray(value) || value.length === 0 || value.length > 64) {
    where.faults.add(where.path, 'must be a list of 1 to 64 templates');
    return [];
  }
  return value.map((item, index) => compile(item, { ...where, path: `${where.path}[${index}]` }));
}

function namesOf(value: JsonValue | undefined, where: Compiling): ReadonlySet<string> {
  if (Array.isArray(value) && value.every((name) => typeof name === 'string')) return new Set(value);
  where.faults.add(where.path, 'must be a list of names');
  return new Set();
}

/** The operators, each with the other fields that it takes. */
const OPERATORS: Readonly<
  Record<string, { beside: readonly string[]; compile: (fields: Fields, where: Compiling) => Template }>
> = {
  $first: {
    beside: [],
    compile: ({ $first }, where) => {
      const those = listOf($first, where);
      return (context) => {
        let value: unknown;
        for (const each of those) {
          value = each(context);
          if (value !== undefined && value !== null) break;
        }
        return value;
      };
    },
  },
  $merge: {
    beside: [],
    compile: ({ $merge }, where) => {
      const those = listOf($merge, where);
      return (context) => {
        const fields: [string, unknown][] = [];
        for (const each of those) {
          const value = each(context);
          if (isFields(value)) fields.push(...Object.entries(value));
        }
        // It defines fields, also one that is called `__proto__`, where an assignment would not.
        return Object.fromEntries(fields);
      };
    },
  },
  $omit: {
    beside: ['from'],
    compile: ({ $omit, from }, where) => {
      const names = namesOf($omit, where);
      const source = compile(from ?? '$', { ...where, path: `${where.path}.from` });
      return (context) => {
        const value = source(context);
        return isFields(value) ? Object.fromEntries(Object.entries(value).filter(([name]) => !names.has(name))) : value;
      };
    },
  },
  $each: {
    beside: ['as'],
    compile: ({ $each, as }, where) => {
      if (where.inEach) where.faults.add(where.path, '"$each" must not be inside another one');
      const source = compile($each ?? '$', where);
      const item = compile(as ?? '$', { ...where, path: `${where.path}.as`, inEach: true });
      return (context) => {
        const value = source(context);
        return Array.isArray(value) ? value.map((each: unknown) => item([each]) ?? null) : undefined;
      };
    },
  },
  $number: {
    beside: [],
    compile: ({ $number }, where) => {
      const value = compile($number ?? '$', where);
      return (context) => toNumber(value(context));
    },
  },
  $string: {
    beside: [],
    compile: ({ $string }, where) => {
      const source = compile($string ?? '$', where);
      return (context) => {
        const value = source(context);
        return typeof value === 'number' ? String(value) : value;
      };
    },
  },
  $text: {
    beside: [],
    compile: ({ $text }, where) => {
      if (typeof $text === 'string') return compileText($text, where);
      where.faults.add(where.path, '"$text" must be a text with {field} in it');
      return () => undefined;
    },
  },
  $literal: {
    beside: [],
    compile:
      ({ $literal }) =>
      () =>
        $literal,
  },
  $use: { beside: ['of'], compile: compileUse },
};

function compileUse({ $use, of }: Fields, where: Compiling): Template {
  const source = compile(of ?? '$', { ...where, path: `${where.path}.of` });
  if (typeof $use !== 'string' || !Object.hasOwn(where.definitions, $use)) {
    where.faults.add(where.path, `"$use" names no definition: ${JSON.stringify($use)}`);
    return () => undefined;
  }
  if (where.uses.includes($use) || where.uses.length >= MAX_USES) {
    where.faults.add(
      where.path,
      `definition "${$use}" uses itself, or definitions are nested more than ${MAX_USES} deep`,
    );
    return () => undefined;
  }
  const definition = where.definitions[$use] ?? null;
  const template = compile(definition, {
    ...where,
    path: `definitions.${$use}`,
    depth: 0,
    uses: [...where.uses, $use],
  });
  return (context) => {
    const value = source(context);
    return value === undefined ? undefined : template([value]);
  };
}

function compileFields(fields: Fields, where: Compiling): Template {
  const operator = Object.keys(fields).find((name) => name.startsWith('$'));
  if (operator !== undefined) {
    const known = Object.hasOwn(OPERATORS, operator) ? OPERATORS[operator] : undefined;
    const others = Object.keys(fields).filter((name) => name !== operator && known?.beside.includes(name) !== true);
    if (known && others.length === 0) return known.compile(fields, { ...where, path: `${where.path}.${operator}` });
    const message = known
      ? `"${operator}" must not stand beside "${others[0]}"`
      : `"${operator}" is no operator: ${Object.keys(OPERATORS).join(', ')} are`;
    where.faults.add(where.path, message);
    return () => undefined;
  }
  const compiled = Object.entries(fields).map(
    ([name, value]) => [name, compile(value, { ...where, path: `${where.path}.${name}` })] as const,
  );
  return (context) => {
    const made: [string, unknown][] = [];
    for (const [name, template] of compiled) {
      const value = template(context);
      if (value !== undefined) made.push([name, value]);
    }
    return Object.fromEntries(made);
  };
}

function compile(value: JsonValue, outer: Compiling): Template {
  const where = { ...outer, depth: outer.depth + 1 };
  if (where.depth > MAX_DEPTH) {
    where.faults.add(where.path, `templates must not be nested more than ${MAX_DEPTH} deep`);
    return () => undefined;
  }
  if (typeof value === 'string') return value.startsWith('$') ? compileReference(value, where) : () => value;
  if (Array.isArray(value)) {
    const items = value.map((item, index) => compile(item, { ...where, path: `${where.path}[${index}]` }));
    return (context) => items.map((item) => item(context) ?? null);
  }
  return isFields(value) ? compileFields(value, where) : () => value;
}

/**
 * Compiles a template: a text that begins with `$` refers to a field of what comes in, an object with a field that begins with `$` is an
 * operator, and everything else stands for itself. Adds what is wrong to `faults`.
 */
export function compileTemplate(
  value: JsonValue,
  where: { faults: Faults; path: string; definitions?: Readonly<Record<string, JsonValue>> },
): Template {
  return compile(value, { definitions: {}, ...where, depth: 0, uses: [], inEach: false });
}
