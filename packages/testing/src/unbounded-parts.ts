import { boundOf } from '@groupcast/shared';
import { z } from 'zod';

interface Definition {
  type: string;
  checks?: { _zod: { def: { check: string; pattern?: RegExp; maximum?: number } } }[];
  [field: string]: unknown;
}
const definitionOf = (schema: z.ZodType): Definition => schema._zod.def as unknown as Definition;

/** A pattern that no endless text matches: no quantifier without an end. */
function isBounded(pattern: RegExp): boolean {
  return !/[*+]|\{\d+,\}/.test(pattern.source.replaceAll(/\[[^\]]*\]/g, 'c').replaceAll(/\\./g, 'c'));
}

/**
 * The strings, arrays and records of a schema that have no bound, each by its path. `except`: schemas whose bound is in a function. A JSON
 * object as a whole (`z.custom`) is bounded in bytes by its reader.
 */
export function unboundedParts(schema: z.ZodType, path: string, except: ReadonlySet<z.ZodType> = new Set()): string[] {
  if (boundOf(schema) !== undefined) {
    const inner = definitionOf(schema)['out'] as z.ZodType;
    return childrenOf(inner).flatMap(([name, child]) => unboundedParts(child, `${path}${name}`, except));
  }
  if (except.has(schema)) return [];
  const { type, checks = [] } = definitionOf(schema);
  const rules = checks.map((check) => check._zod.def);
  if (type === 'array' || type === 'record' || type === 'map' || type === 'set')
    return [`${path}: ${type} without a bound`];
  if (type === 'string') {
    const holds = rules.some(({ check, pattern, maximum }) =>
      pattern ? isBounded(pattern) : check === 'max_length' && maximum !== undefined,
    );
    return holds ? [] : [`${path}: string without a bound`];
  }
  return childrenOf(schema).flatMap(([name, child]) => unboundedParts(child, `${path}${name}`, except));
}

function childrenOf(schema: z.ZodType): [string, z.ZodType][] {
  const definition = definitionOf(schema);
  switch (definition.type) {
    case 'object':
      return Object.entries(definition['shape'] as Record<string, z.ZodType>).map(([key, value]) => [`.${key}`, value]);
    case 'array':
      return [['[]', definition['element'] as z.ZodType]];
    case 'record':
      return [
        ['{key}', definition['keyType'] as z.ZodType],
        ['{value}', definition['valueType'] as z.ZodType],
      ];
    case 'tuple':
      if (definition['rest']) throw new Error('a tuple with a rest has no bound');
      return (definition['items'] as z.ZodType[]).map((item, index) => [`[${index}]`, item]);
    case 'union':
      return (definition['options'] as z.ZodType[]).map((option, index) => [`|${index}`, option]);
    case 'pipe':
      return [
        ['', definition['in'] as z.ZodType],
        ['', definition['out'] as z.ZodType],
      ];
    case 'optional':
    case 'nullable':
    case 'default':
    case 'prefault':
    case 'catch':
    case 'readonly':
    case 'nonoptional':
      return [['', definition['innerType'] as z.ZodType]];
    case 'number':
    case 'int':
    case 'boolean':
    case 'enum':
    case 'literal':
    case 'null':
    case 'custom':
    case 'transform':
    case 'unknown':
      return [];
    default:
      throw new Error(`the walk does not know "${definition.type}"`);
  }
}

/** The schemas among a module's exports, by name. */
export function schemasOf(module: Readonly<Record<string, unknown>>): [string, z.ZodType][] {
  return Object.entries(module).flatMap(([name, value]) => (value instanceof z.ZodType ? [[name, value]] : []));
}
