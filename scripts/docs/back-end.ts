import type { z } from 'zod';
import {
  clientEventAnswerSchema,
  clientEventSchema,
  connectAnswerSchema,
  connectQuerySchema,
  cursorsAnswerSchema,
  cursorUpdatesSchema,
  groupsAnswerSchema,
  groupsQuerySchema,
  historyFillAnswerSchema,
  historyFillQuerySchema,
  idSchema,
  membershipAnswerSchema,
  membershipQuerySchema,
  positionSchema,
  seenUsersSchema,
  userIdSchema,
} from '../../packages/shared/src/index.ts';
import { type JsonSchema, jsonSchemaOf } from './json-schema.ts';
import { MAX_LINE } from './pages.ts';

/** The calls of the relay to a back end, and the answers that it understands. */
export const BACK_END_CALLS: Readonly<Record<string, { request: z.ZodType; answer?: z.ZodType }>> = {
  memberships: { request: membershipQuerySchema, answer: membershipAnswerSchema },
  groups: { request: groupsQuerySchema, answer: groupsAnswerSchema },
  history: { request: historyFillQuerySchema, answer: historyFillAnswerSchema },
  cursors: { request: cursorUpdatesSchema, answer: cursorsAnswerSchema },
  events: { request: clientEventSchema, answer: clientEventAnswerSchema },
  presence: { request: seenUsersSchema },
  connect: { request: connectQuerySchema, answer: connectAnswerSchema },
};

/** Schemas that stand in many places, by the name under which the others refer to them. */
const SHARED: Readonly<Record<string, z.ZodType>> = { id: idSchema, userId: userIdSchema, position: positionSchema };
const ANY = { description: 'Any JSON' };

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null;

/** Without bounds that say nothing, and with references in place of what is shared. */
function shorten(value: unknown, shared: ReadonlyMap<string, string>, key = ''): unknown {
  if (Array.isArray(value)) return value.map((item) => shorten(item, shared));
  if (!isObject(value)) return value;
  const name = shared.get(JSON.stringify(value));
  if (name !== undefined) return { $ref: `#/$defs/${name}` };
  if (key === 'payload') return ANY;
  const entries = Object.entries(value).filter(
    ([field, inner]) =>
      field !== 'propertyNames' &&
      inner !== Number.MAX_SAFE_INTEGER &&
      !(field === 'minItems' && inner === 0) &&
      !(field === 'additionalProperties' && isObject(inner) && Object.keys(inner).length === 0),
  );
  return Object.fromEntries(entries.map(([field, inner]) => [field, shorten(inner, shared, field)]));
}

interface Contract {
  $schema: string;
  title: string;
  $defs: JsonSchema;
  calls: Record<string, { request: unknown; answer?: unknown }>;
}

/** The calls as JSON schemas, in one document. */
export function backEndSchemas(): Contract {
  const shared = new Map(Object.entries(SHARED).map(([name, schema]) => [text(jsonSchemaOf(schema, 'input')), name]));
  const short = (schema: z.ZodType): unknown => shorten(jsonSchemaOf(schema, 'input'), shared);
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    title: 'What the relay asks a back end',
    $defs: Object.fromEntries(
      Object.entries(SHARED).map(([name, schema]) => [name, shorten(jsonSchemaOf(schema, 'input'), new Map())]),
    ),
    calls: Object.fromEntries(
      Object.entries(BACK_END_CALLS).map(([name, { request, answer }]) => [
        `POST /internal/${name}`,
        { request: short(request), ...(answer ? { answer: short(answer) } : {}) },
      ]),
    ),
  };
}

const text = (value: unknown): string => JSON.stringify(value);

/** JSON on as few lines as the width allows. */
function print(value: unknown, indent = '', before = 0): string {
  const line = text(value).replaceAll(/("(?:[^"\\]|\\.)*")|([,:])/g, (_, string: string, mark: string) =>
    mark === undefined ? string : `${mark} `,
  );
  if (!isObject(value) || indent.length + before + line.length + 1 <= MAX_LINE) return line;
  const deeper = `${indent}  `;
  const [open, close] = Array.isArray(value) ? '[]' : '{}';
  const items = Array.isArray(value)
    ? value.map((item) => deeper + print(item, deeper))
    : Object.entries(value).map(([key, inner]) => `${deeper}"${key}": ${print(inner, deeper, key.length + 4)}`);
  return `${open}\n${items.join(',\n')}\n${indent}${close}`;
}

/** The schemas of one call, for its section of the page. */
export function schemasOfCall(name: string): string {
  const { request, answer } = backEndSchemas().calls[`POST /internal/${name}`] ?? {};
  const blocks = [
    ['Request', request],
    ['Answer', answer],
  ].filter(([, schema]) => schema !== undefined);
  return blocks.map(([title, schema]) => `${String(title)}:\n\n\`\`\`json\n${print(schema)}\n\`\`\``).join('\n\n');
}

export function sharedSchemas(): string {
  return `\`\`\`json\n${print({ $defs: backEndSchemas().$defs })}\n\`\`\``;
}
