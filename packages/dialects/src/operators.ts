import type { JsonValue } from '@groupcast/shared';
import { type Compiling, type FieldsOf, isFields, setField, type Template } from './compiling.ts';
import { compileText } from './references.ts';

type Fields = FieldsOf<JsonValue>;

interface Operator {
  /** Other fields that may stand beside it. */
  beside: readonly string[];
  /** One line of the reference. */
  summary: string;
  compile(fields: Fields, where: Compiling): Template;
}

/** How deep definitions may use others. */
const MAX_USES = 3;
/** Most templates of a list, and most entries of a table. */
const MAX_LIST = 64;
const INTEGER = /^(?:0|[1-9]\d{0,15})$/;

const nothing: Template = () => undefined;

/** Compiles a field of an operator. One that is left out stands for the whole value. */
function part(fields: Fields, name: string, where: Compiling): Template {
  const value = fields[name];
  return where.compile(value === undefined ? '$' : value, { ...where, path: `${where.path}.${name}` });
}

function listOf(fields: Fields, name: string, where: Compiling): Template[] {
  const value = fields[name];
  const path = `${where.path}.${name}`;
  if (!Array.isArray(value) || value.length === 0 || value.length > MAX_LIST) {
    where.faults.add(path, `must be a list of 1 to ${MAX_LIST} templates`);
    return [];
  }
  return value.map((item, index) => where.compile(item, { ...where, path: `${path}[${index}]` }));
}

function toNumber(value: unknown): unknown {
  if (typeof value !== 'string' || !INTEGER.test(value)) return value;
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}

function compileMerge(fields: Fields, where: Compiling): Template {
  const those = listOf(fields, '$merge', where);
  return (context) => {
    const merged: Record<string, unknown> = {};
    for (const each of those) {
      const value = each(context);
      if (isFields(value)) for (const name of Object.keys(value)) setField(merged, name, value[name]);
    }
    return merged;
  };
}

function compileFirst(fields: Fields, where: Compiling): Template {
  const those = listOf(fields, '$first', where);
  return (context) => {
    let value: unknown;
    for (const each of those) {
      value = each(context);
      if (value !== undefined && value !== null) break;
    }
    return value;
  };
}

function compileOmit(fields: Fields, where: Compiling): Template {
  const { $omit } = fields;
  const source = part(fields, 'from', where);
  if (!Array.isArray($omit) || $omit.length > MAX_LIST || !$omit.every((name) => typeof name === 'string')) {
    where.faults.add(`${where.path}.$omit`, `must be a list of at most ${MAX_LIST} names`);
    return nothing;
  }
  const names: ReadonlySet<string> = new Set($omit);
  return (context) => {
    const value = source(context);
    if (!isFields(value)) return value;
    const kept: Record<string, unknown> = {};
    for (const name of Object.keys(value)) if (!names.has(name)) setField(kept, name, value[name]);
    return kept;
  };
}

function compileEach(fields: Fields, where: Compiling): Template {
  if (where.inEach) where.faults.add(where.path, '"$each" must not be inside another one');
  const source = part(fields, '$each', where);
  const item = part(fields, 'as', { ...where, inEach: true, values: 1, refuses: undefined });
  return (context) => {
    const value = source(context);
    return Array.isArray(value) ? value.map((each: unknown) => item([each]) ?? null) : undefined;
  };
}

function compileLookup(fields: Fields, where: Compiling): Template {
  const source = part(fields, '$lookup', where);
  const table = fields['in'];
  if (!isFields(table) || Object.keys(table).length > MAX_LIST) {
    where.faults.add(`${where.path}.in`, `must be an object of at most ${MAX_LIST} values, by what is looked up`);
    return nothing;
  }
  const values = new Map(Object.entries(table));
  return (context) => {
    const value = source(context);
    return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean'
      ? values.get(String(value))
      : undefined;
  };
}

function compileUse(fields: Fields, where: Compiling): Template {
  const { $use } = fields;
  const source = part(fields, 'of', where);
  const path = `${where.path}.$use`;
  if (typeof $use !== 'string' || !Object.hasOwn(where.definitions, $use)) {
    const known = Object.keys(where.definitions).join(', ') || 'none is';
    where.faults.add(path, `${JSON.stringify($use)} is no definition; there: ${known}`);
    return nothing;
  }
  if (where.uses.includes($use) || where.uses.length >= MAX_USES) {
    where.faults.add(path, `definition "${$use}" uses itself, or definitions are nested more than ${MAX_USES} deep`);
    return nothing;
  }
  where.used.add($use);
  const template = where.compile(where.definitions[$use] ?? null, {
    ...where,
    path: `definitions.${$use}`,
    depth: 0,
    uses: [...where.uses, $use],
    values: 1,
    refuses: undefined,
  });
  return (context) => {
    const value = source(context);
    return value === undefined ? undefined : template([value]);
  };
}

/** The operators of templates. */
export const OPERATORS: Readonly<Record<string, Operator>> = {
  $first: {
    beside: [],
    summary: 'the first of these templates that makes something other than `null`; the last one, if none does',
    compile: compileFirst,
  },
  $merge: {
    beside: [],
    summary: 'the fields of all of these; a later one wins, and what is no object adds nothing',
    compile: compileMerge,
  },
  $omit: {
    beside: ['from'],
    summary: 'the object of `from` (`$` if it is left out) without the fields of these names',
    compile: compileOmit,
  },
  $each: {
    beside: ['as'],
    summary: 'a list, of which each item is made by `as`, where `$` is the item. One cannot be inside another',
    compile: compileEach,
  },
  $lookup: {
    beside: ['in'],
    summary: 'the value that stands for it in the table `in`; not there, if none does',
    compile: compileLookup,
  },
  $number: {
    beside: [],
    summary: 'a number instead of a text that is a whole one; anything else as it is',
    compile(fields, where) {
      const value = part(fields, '$number', where);
      return (context) => toNumber(value(context));
    },
  },
  $string: {
    beside: [],
    summary: 'a text instead of a number; anything else as it is',
    compile(fields, where) {
      const source = part(fields, '$string', where);
      return (context) => {
        const value = source(context);
        return typeof value === 'number' ? String(value) : value;
      };
    },
  },
  $text: {
    beside: [],
    summary: 'a text with `{field.field}` in it; not there, where one of them is neither text nor a number',
    compile({ $text }, where) {
      const path = `${where.path}.$text`;
      if (typeof $text === 'string') return compileText($text, { ...where, path });
      where.faults.add(path, 'must be a text, with {field} in it');
      return nothing;
    },
  },
  $literal: {
    beside: [],
    summary: 'this value as it stands, such as a text that begins with `$`',
    compile:
      ({ $literal }) =>
      () =>
        $literal,
  },
  $use: {
    beside: ['of'],
    summary: 'what the definition of this name makes of `of` (`$` if it is left out)',
    compile: compileUse,
  },
};
