import { z } from 'zod';
import { boundedArray, boundedRecord, hasMoreKeysThan } from '../bounds.ts';
import { idSchema, parseId, userIdSchema } from '../ids.ts';
import { isJson, isJsonObject, type JsonObject, type JsonValue } from '../json.ts';
import { positionSchema } from '../position-schemas.ts';
import { type Position, parsePosition } from '../positions.ts';
import { MAX_TOKEN_LENGTH } from '../token-claims.ts';

/** `join-group`. */
export const joinGroupSchema = z.object({ groupId: idSchema, position: positionSchema.optional() });
/** `leave-group`. */
export const leaveGroupSchema = z.object({ groupId: idSchema });
/** Most groups whose presence may be asked for at once. */
const MAX_PRESENCE_GROUPS = 100;
/** `get-presence` of one group. */
export const getPresenceSchema = z.object({ groupId: idSchema });
/** `get-presence` of many groups. */
export const getPresencesSchema = z.object({ groupIds: boundedArray(idSchema, { min: 1, max: MAX_PRESENCE_GROUPS }) });
/** `watch-group`. */
export const watchGroupSchema = z.object({ groupId: idSchema, on: z.boolean() });
/** `refresh-token`. */
export const refreshTokenSchema = z.object({ token: z.string().min(1).max(MAX_TOKEN_LENGTH) });

/** Most positions at once. No relay lets a connection be in more groups, however it is configured. */
export const MAX_POSITIONS = 100_000;
/** Most wrong positions that an error names; the rest is not looked at. */
const MAX_POSITION_ISSUES = 10;

/**
 * Positions by group, as a returning client remembers them; ids are parsed like any other. Each is read without a schema of its own:
 * a client may be in thousands of groups.
 */
export const positionsSchema = z
  .custom<Record<string, Position>>(
    (value) =>
      typeof value === 'object' && value !== null && !Array.isArray(value) && !hasMoreKeysThan(value, MAX_POSITIONS),
    { error: `must be an object of at most ${MAX_POSITIONS} positions` },
  )
  .transform((positions, context) => {
    const parsed = new Map<string, Position>();
    for (const [key, value] of Object.entries(positions)) {
      const groupId = parseId(key);
      const position = parsePosition(value);
      if (groupId !== undefined && position) parsed.set(groupId, position);
      else {
        const message = groupId === undefined ? 'is not a group id' : 'is not a position {epoch, seq}';
        context.addIssue({ code: 'custom', message, path: [key] });
        if (context.issues.length >= MAX_POSITION_ISSUES) break;
      }
    }
    return parsed;
  });
/** `resume`. */
export const resumeSchema = z.object({ positions: positionsSchema });

/**
 * The handshake's `auth`. `token` is checked by the verifier, `positions` are read once the user is known, and other fields are the
 * application's own.
 */
export const handshakeSchema = z.object({
  token: z.string().max(MAX_TOKEN_LENGTH).optional(),
  type: z.enum(['user', 'api', 'monitor']).default('user'),
});

/** Most groups whose cursors may come in one event. */
const MAX_CURSOR_GROUPS = 1_000;
const cursorsSchema = z.object({
  received: z.int().nonnegative().optional(),
  applied: z.int().nonnegative().optional(),
  read: z.int().nonnegative().optional(),
});
/** `update-cursors`: each a `seq`, cumulative. */
export const updateCursorsSchema = z.object({
  cursors: boundedRecord(idSchema, cursorsSchema, { max: MAX_CURSOR_GROUPS }),
});
/** `mark-delivered` and `mark-read`: up to a position, up to a message, which the back end has to know, or everything so far. */
export const markSchema = z
  .object({ groupId: idSchema, seq: z.int().nonnegative().optional(), messageId: idSchema.optional() })
  .refine((mark) => mark.seq === undefined || mark.messageId === undefined, {
    error: 'seq or messageId: one of them, or neither, and not both',
    path: ['seq'],
  });

/** Longer than any message may be, in characters; how large one may be is a setting of the API, in bytes. */
export const MAX_CONTENT_LENGTH = 16 * 1_024 * 1_024;
/** Most attachments of a message. */
export const MAX_ATTACHMENTS = 20;
/** Largest `custom` of a message, group or user, in bytes of UTF-8 JSON. */
export const MAX_CUSTOM_BYTES = 4_096;
/** Largest `data` of a signal, in bytes of UTF-8 JSON: the description of a call with video comes to about 10 kB. */
export const MAX_SIGNAL_BYTES = 65_536;
/** The kind of a message: `text` unless its sender says otherwise, `call` for a call that has ended. */
export const messageKindSchema = z
  .string()
  .regex(/^[a-z][a-z0-9-]{0,31}$/, { error: 'must be 1-32 lower case letters, digits and hyphens' });

const jsonObject = z.custom<JsonObject>(isJsonObject, { error: 'must be a plain JSON object' });
const clientMessageId = z.string().min(1).max(128);
const content = z.string().min(1).max(MAX_CONTENT_LENGTH);

/** `send-message`. The back end decides on contents and sizes. */
export const sendMessageSchema = z.object({
  groupId: idSchema,
  content,
  clientMessageId: clientMessageId.optional(),
  kind: messageKindSchema.optional(),
  attachments: boundedArray(jsonObject, { max: MAX_ATTACHMENTS }).optional(),
  custom: jsonObject.optional(),
});
/** `edit-message`: of the text, of the application's own fields (`null` takes them away), or of both. */
export const editMessageSchema = z
  .object({
    groupId: idSchema,
    messageId: idSchema,
    content: content.optional(),
    custom: jsonObject.nullable().optional(),
  })
  .refine((edit) => edit.content !== undefined || edit.custom !== undefined, {
    error: 'must have content, custom or both',
  });
/** `delete-message`. */
export const deleteMessageSchema = z.object({ groupId: idSchema, messageId: idSchema });
/** `typing`. */
export const typingSchema = z.object({ groupId: idSchema, isTyping: z.boolean() });
/** `view-group`: the group that this connection has on screen. */
export const viewGroupSchema = z.object({ groupId: idSchema.nullable() });
/** `signal`, to one member or, without `toUserId`, to all others. `data` is passed on as it is, at most `MAX_SIGNAL_BYTES`. */
export const signalSchema = z.object({
  groupId: idSchema,
  toUserId: userIdSchema.optional(),
  kind: z.string().regex(/^[A-Za-z0-9_:.-]{1,64}$/, { error: 'must be 1-64 characters of A-Z a-z 0-9 _ : . -' }),
  data: z.custom<JsonValue>((value) => isJson(value), { error: 'must be JSON' }),
});

export type ResumeInput = z.input<typeof resumeSchema>;
export type UpdateCursorsInput = z.input<typeof updateCursorsSchema>;
export type MarkInput = z.input<typeof markSchema>;
export type Cursors = z.output<typeof cursorsSchema>;
export type JoinGroupInput = z.input<typeof joinGroupSchema>;
export type GetPresenceInput = z.input<typeof getPresenceSchema>;
export type WatchGroupInput = z.input<typeof watchGroupSchema>;
export type LeaveGroupInput = z.input<typeof leaveGroupSchema>;
export type RefreshTokenInput = z.input<typeof refreshTokenSchema>;
export type GetPresencesInput = z.input<typeof getPresencesSchema>;
export type SendMessageInput = z.input<typeof sendMessageSchema>;
export type EditMessageInput = z.input<typeof editMessageSchema>;
export type DeleteMessageInput = z.input<typeof deleteMessageSchema>;
export type TypingInput = z.input<typeof typingSchema>;
export type ViewGroupInput = z.input<typeof viewGroupSchema>;
export type SignalInput = z.input<typeof signalSchema>;
