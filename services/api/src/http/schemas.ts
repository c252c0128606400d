import {
  boundedArray,
  idSchema,
  isJson,
  isJsonObject,
  type JsonObject,
  MAX_ATTACHMENTS,
  MAX_CONTENT_LENGTH,
  MAX_CUSTOM_BYTES,
  messageKindSchema,
  parseUserId,
  TRACE_LIMITS,
  userIdSchema,
} from '@groupcast/shared';
import { z } from 'zod';
import { isStorable, isStorableJson } from '../db/storable.ts';

const STORABLE = { error: 'must be well-formed text without NUL' };

const MAX_MEMBERS_PER_REQUEST = 1_000;
/** Most bytes of all headers of a request, as Node.js takes them. */
const MAX_HEADERS = 16_384;
const MAX_SEQ = Number.MAX_SAFE_INTEGER;

/** A number in a query string: digits only, so that an empty value is no zero. */
const queryInteger = (min: number, max: number) =>
  z
    .string()
    .regex(/^\d{1,16}$/, { error: 'must be a non-negative integer' })
    .transform(Number)
    .pipe(z.int().min(min).max(max));

const content = z.string().min(1).max(MAX_CONTENT_LENGTH).refine(isStorable, STORABLE);
const name = z.string().trim().min(1).max(200).refine(isStorable, STORABLE);
const clientMessageId = z.string().min(1).max(128).refine(isStorable, STORABLE);
const memberIds = boundedArray(userIdSchema, { max: MAX_MEMBERS_PER_REQUEST });

const attachments = boundedArray(
  z
    .custom<JsonObject>(isJsonObject, { error: 'must be a plain JSON object' })
    .refine((value) => isStorableJson(value), STORABLE),
  { max: MAX_ATTACHMENTS },
);

/** Levels of nesting that are kept free around `custom`: a message carries that of its sender, and events and answers carry messages. */
const LEVELS_AROUND = 14;
/** The application's own fields; their bytes are counted where they are saved. */
const custom = z
  .custom<JsonObject>((value) => isJsonObject(value) && isJson(value, LEVELS_AROUND), {
    error: 'must be a plain JSON object, at most 50 levels deep',
  })
  .refine((value) => isStorableJson(value), STORABLE)
  .meta({
    type: 'object',
    additionalProperties: true,
    description: `A JSON object of the application’s own, at most ${MAX_CUSTOM_BYTES} bytes of UTF-8 JSON`,
  });

export const groupParams = z.object({ groupId: idSchema });
export const memberParams = z.object({ groupId: idSchema, userId: userIdSchema });
export const messageParams = z.object({ groupId: idSchema, messageId: idSchema });

export const createGroupBody = z.object({
  id: idSchema.optional(),
  name: name.optional(),
  custom: custom.optional(),
  memberIds: memberIds.default([]),
  kind: z.enum(['group', 'direct']).default('group'),
});
/** Longest that a group may keep its history by a setting of its own, in days. */
const MAX_RETENTION_DAYS = 3_650;
export const updateGroupBody = z
  .object({
    name: name.optional(),
    retentionDays: z.int().min(1).max(MAX_RETENTION_DAYS).nullable().optional(),
    custom: custom.nullable().optional(),
  })
  .refine((body) => [body.name, body.retentionDays, body.custom].some((field) => field !== undefined), {
    error: 'must have name, retentionDays or custom',
  });
export const listMembersQuery = z.object({
  cursor: z.string().max(1_000).optional(),
  limit: queryInteger(1, 500).default(100),
});
export const addMembersBody = z.object({
  userIds: boundedArray(userIdSchema, { min: 1, max: MAX_MEMBERS_PER_REQUEST }),
});
export const listGroupsQuery = z.object({
  cursor: z.string().max(500).optional(),
  limit: queryInteger(1, 200).default(50),
});

const MAX_USERS_PER_REQUEST = 100;
const MAX_USER_ID_LENGTH = 255;
const idList = z.string().max(MAX_USERS_PER_REQUEST * (MAX_USER_ID_LENGTH + 1));
/** A list of ids as `ids=a&ids=b` or `ids=a,b`. An id may contain a comma, so both readings are looked up. */
export const listUsersQuery = z.object({
  ids: z.union([idList, boundedArray(idList, { max: MAX_USERS_PER_REQUEST })]).transform((given, context) => {
    const texts = [given].flat();
    const asked = texts.flatMap((text) => text.split(',')).filter((id) => id !== '');
    const ids = [...new Set([...asked, ...texts])].flatMap((id) => parseUserId(id) ?? []);
    if (asked.length > MAX_USERS_PER_REQUEST)
      context.addIssue({ code: 'custom', message: `must have at most ${MAX_USERS_PER_REQUEST} items` });
    if (asked.some((id) => parseUserId(id) === undefined))
      context.addIssue({ code: 'custom', message: 'must be user ids' });
    return ids;
  }),
});

const MAX_PICTURE_LENGTH = 2_048;
const isWebAddress = (text: string): boolean => /^https?:\/\//i.test(text) && URL.canParse(text) && !/\s/.test(text);
export const updateProfileBody = z.object({
  name: name.nullable().optional(),
  picture: z
    .string()
    .max(MAX_PICTURE_LENGTH)
    .refine((text) => isStorable(text) && isWebAddress(text), { error: 'must be an http: or https: URL' })
    .nullable()
    .optional(),
  custom: custom.nullable().optional(),
  hidesPresence: z.boolean().optional(),
});

export const sendMessageBody = z.object({
  content,
  clientMessageId: clientMessageId.optional(),
  kind: messageKindSchema.optional(),
  attachments: attachments.optional(),
  custom: custom.optional(),
});
export const sendMessageHeaders = z.object({
  'idempotency-key': clientMessageId.optional(),
  // No longer header comes in, so that none is refused.
  traceparent: z.string().max(MAX_HEADERS).optional().describe('W3C Trace Context; one that is malformed is ignored'),
});
export const editMessageBody = z
  .object({ content: content.optional(), custom: custom.nullable().optional() })
  .refine((body) => body.content !== undefined || body.custom !== undefined, {
    error: 'must have content, custom or both',
  });
export const listMessagesQuery = z.object({
  before: queryInteger(0, MAX_SEQ).optional(),
  after: queryInteger(0, MAX_SEQ).optional(),
  limit: queryInteger(1, 200).default(50),
});
export const listEventsQuery = z.object({
  after: queryInteger(0, MAX_SEQ).default(0),
  epoch: z.string().min(1).max(100).optional(),
  limit: queryInteger(1, 500).default(200),
});
export const traceParams = z.object({ messageId: idSchema });
export const traceQuery = z.object({
  userId: userIdSchema.optional(),
  after: userIdSchema.optional(),
  limit: queryInteger(1, TRACE_LIMITS.page).default(100),
});
export const markReadBody = z.object({ seq: z.int().nonnegative() });

export const demoLoginBody = z.object({ name: z.string().trim().min(1).max(40).refine(isStorable, STORABLE) });
