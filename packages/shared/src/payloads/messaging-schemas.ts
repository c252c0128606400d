import { z } from 'zod';
import { boundedArray } from '../bounds.ts';
import { isJsonObject, type JsonObject, type JsonValue } from '../json.ts';
import { epochSchema, positionSchema as position } from '../position-schemas.ts';
import { MAX_ATTACHMENTS, MAX_CONTENT_LENGTH, MAX_CUSTOM_BYTES, messageKindSchema } from './client-events.ts';
import type { Group, GroupEvent, GroupMember, GroupSummary, Message, OwnUser, Sender, User } from './messaging.ts';

/*
 * The shapes of `messaging.ts` as schemas, for the documents that are generated from them and for tests that hold answers to them. What comes
 * in is checked by schemas of its own: ids here are what they have become, which is strings. A generated document names each of these
 * once, by its `id`.
 */

const id = z.string().min(1).max(128);
const userId = z.string().min(1).max(255);
const time = z.string().max(24).meta({ format: 'date-time', description: 'ISO 8601 in UTC' });
const groupName = z.string().max(200).nullable();
const groupKind = z.enum(['group', 'direct']);
const seq = z
  .int()
  .min(1)
  .meta({ description: 'Position in the group: counts 1, 2, 3 … without holes inside an epoch' });

const jsonObject = z
  .custom<JsonObject>(isJsonObject)
  .meta({ type: 'object', additionalProperties: true, description: 'A plain JSON object' });

const custom = jsonObject.meta({
  description: `The application’s own fields, at most ${MAX_CUSTOM_BYTES} bytes of UTF-8 JSON`,
});
const profile = {
  name: z.string().max(200).exactOptional(),
  picture: z.string().max(2_048).exactOptional(),
  custom: custom.exactOptional(),
};

export const senderSchema = z.object({ userId, ...profile }).meta({ id: 'Sender' }) satisfies z.ZodType<Sender>;

export const messageSchema = z
  .object({
    id,
    groupId: id,
    epoch: epochSchema,
    seq,
    senderId: userId,
    sender: senderSchema,
    kind: messageKindSchema.meta({ description: '`text` unless its sender said otherwise' }),
    content: z.string().max(MAX_CONTENT_LENGTH),
    createdAt: time,
    clientMessageId: z.string().max(128).exactOptional(),
    attachments: boundedArray(jsonObject, { max: MAX_ATTACHMENTS }).exactOptional(),
    custom: custom.exactOptional(),
    updatedAt: time.exactOptional(),
  })
  .meta({ id: 'Message' }) satisfies z.ZodType<Message>;

export const groupMemberSchema = z
  .object({
    userId,
    role: z.enum(['owner', 'member']),
    name: z.string().max(200).exactOptional(),
  })
  .meta({ id: 'GroupMember' }) satisfies z.ZodType<GroupMember>;

export const userSchema = z
  .object({
    id: userId,
    ...profile,
    lastSeenAt: time.exactOptional().meta({
      description: 'When they were last connected, to a minute; absent where they hide it, or share no group any more',
    }),
  })
  .meta({ id: 'User' }) satisfies z.ZodType<User>;

export const ownUserSchema = z
  .object({ ...userSchema.shape, hidesPresence: z.boolean() })
  .meta({ id: 'OwnUser' }) satisfies z.ZodType<OwnUser>;

/** Where a group stands. */
export const groupPositionSchema = position.meta({ id: 'Position' });

const groupFields = {
  id,
  name: groupName,
  kind: groupKind,
  createdAt: time,
  position: groupPositionSchema,
  memberCount: z.int().min(0),
  retentionDays: z
    .int()
    .min(1)
    .exactOptional()
    .meta({ description: 'Days after which its history is removed, where it has a setting of its own' }),
  custom: custom.exactOptional(),
};

export const groupSchema = z
  .object({
    ...groupFields,
    members: z.array(groupMemberSchema).meta({ description: 'The first 100 by the time they joined' }),
  })
  .meta({ id: 'Group' }) satisfies z.ZodType<Group>;

export const groupSummarySchema = z
  .object({
    ...groupFields,
    unreadCount: z.int().min(0).meta({ description: 'Messages by others, not deleted, above `readSeq`' }),
    readSeq: z.int().min(0).meta({ description: 'The caller’s own read cursor' }),
    lastMessage: messageSchema.nullable(),
  })
  .meta({ id: 'GroupSummary' }) satisfies z.ZodType<GroupSummary>;

/** The fields of a positioned event beside its envelope are its publisher's. */
export const groupEventSchema = z
  .object({ event: z.string().min(1).max(64), id, groupId: id, epoch: epochSchema, seq })
  .catchall(z.custom<JsonValue>())
  .meta({ id: 'GroupEvent' }) satisfies z.ZodType<GroupEvent>;
