import { idSchema, isJson, type JsonValue, userIdSchema } from '@groupcast/shared';
import { z } from 'zod';

/*
 * The transient messages between nodes. Each is about one group, and goes to the nodes that have members of it. Relays of two versions
 * share one Redis while a deployment is under way: a name that a node does not know is stepped over, and so are fields.
 */

/** Most users that one message names. */
export const MAX_USERS = 1_000;

const seq = z.int().nonnegative();
const atMost = (users: object): boolean => Object.keys(users).length <= MAX_USERS;

/** The payload of each message, by its name. */
export const MESSAGES = {
  /** The user types, and goes on typing, or has stopped. */
  typing: z.object({ groupId: idSchema, userId: userIdSchema, isTyping: z.boolean() }),
  /** The cursors that have moved, by user. */
  receipt: z.object({
    groupId: idSchema,
    users: z.record(z.string(), z.object({ received: seq.optional(), read: seq.optional() })).refine(atMost),
  }),
  /** How many have received and read the newest message of each of these users, and among how many members. */
  'receipt-counts': z.object({
    groupId: idSchema,
    users: z
      .record(z.string(), z.object({ seq, received: seq, read: seq, memberCount: seq.optional() }))
      .refine(atMost),
  }),
  /** The user has read so far, on the connection `exceptSocketId`. */
  'read-cursor': z.object({
    groupId: idSchema,
    userId: userIdSchema,
    readSeq: seq,
    exceptSocketId: z.string().max(64).optional(),
  }),
  /** From one member to the connections of another, or of all others. */
  signal: z.object({
    groupId: idSchema,
    fromUserId: userIdSchema,
    toUserId: userIdSchema.optional(),
    /** The sender's own connection, which is not reached even where the signal is to the same user. */
    exceptSocketId: z.string().max(64).optional(),
    kind: z.string().max(64),
    data: z.custom<JsonValue>((value) => isJson(value)),
  }),
} as const satisfies Record<string, z.ZodType<{ groupId: string }>>;

export type MessageName = keyof typeof MESSAGES;
export type MessageOf<Name extends MessageName> = z.output<(typeof MESSAGES)[Name]>;

export function isMessageName(name: unknown): name is MessageName {
  return typeof name === 'string' && Object.hasOwn(MESSAGES, name);
}
