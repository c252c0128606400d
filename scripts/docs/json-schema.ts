import { z } from 'zod';
import { positionSchema, positionsSchema } from '../../packages/shared/src/index.ts';

export type JsonSchema = Record<string, unknown>;

/** The JSON schema (draft 2020-12) of values before they are parsed (`input`) or after (`output`). */
export function jsonSchemaOf(schema: z.ZodType, io: 'input' | 'output'): JsonSchema {
  const {
    $schema: _,
    $defs = {},
    ...rest
  } = z.toJSONSchema(schema, {
    io,
    unrepresentable: 'any',
    override({ zodSchema, jsonSchema }) {
      // A value that only code can check is an object wherever it is used: a message, an attachment, positions.
      if (zodSchema._zod.def.type === 'custom') jsonSchema.type = 'object';
      if ((zodSchema as unknown) === positionsSchema) {
        jsonSchema.type = 'object';
        jsonSchema.additionalProperties = jsonSchemaOf(positionSchema, 'input');
      }
    },
  }) as JsonSchema;
  return inlined(rest, $defs as JsonSchema) as JsonSchema;
}

/** Schemas with a name stand where they are used: a document of its own would look for them at its root. */
function inlined(value: unknown, named: JsonSchema): unknown {
  if (Array.isArray(value)) return value.map((item) => inlined(item, named));
  if (typeof value !== 'object' || value === null) return value;
  const { $ref } = value as { $ref?: unknown };
  const name = typeof $ref === 'string' ? $ref.replace('#/$defs/', '') : undefined;
  if (name !== undefined && name in named) {
    const { id: _, ...schema } = named[name] as JsonSchema;
    return inlined(schema, named);
  }
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, inlined(inner, named)]));
}

/** An object's fields in one line, `?` behind those that may be left out. */
export function fieldsOf(schema: JsonSchema): string {
  const required = new Set(schema['required'] as string[] | undefined);
  const names = Object.keys((schema['properties'] as object | undefined) ?? {});
  return `{${names.map((name) => (required.has(name) ? name : `${name}?`)).join(', ')}}`;
}
