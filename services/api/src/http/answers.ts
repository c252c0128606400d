import {
  clientEventAnswerSchema,
  groupEventSchema,
  groupMemberSchema,
  groupPositionSchema,
  groupSchema,
  groupSummarySchema,
  HOPS,
  messageSchema,
  ownUserSchema,
  RECIPIENT_STATES,
  userSchema,
} from '@groupcast/shared';
import { z } from 'zod';

/*
 * The answers of the routes, as the OpenAPI document describes them. Nothing is left out of an answer because of these: tests hold answers to
 * them, strictly.
 */

const groupId = z.string();
const userId = z.string();

export const applied = z
  .boolean()
  .meta({ description: 'False: live connections follow later, in the order of the group’s events' });
const invited = z
  .array(userId)
  .exactOptional()
  .meta({ description: 'The users who have to accept first, where there are any; see GROUP_INVITES' });
const more = z.boolean().meta({ description: 'The page ends before there is no more, by its limit or by its bytes' });

/** With status 204. */
export const noContent = (description: string) => z.undefined().meta({ description });

const invitation = z
  .object({
    groupId,
    name: z.string().nullable(),
    kind: z.enum(['group', 'direct']),
    memberCount: z.int().min(0),
    invitedBy: userId,
    createdAt: z.string().meta({ format: 'date-time' }),
  })
  .meta({ id: 'Invitation' });

export const groupAnswer = z.object({ group: groupSchema });
export const createdGroupAnswer = z.object({ group: groupSchema, invited });
export const groupsAnswer = z.object({ groups: z.array(groupSummarySchema), nextCursor: z.string().exactOptional() });
export const membersAnswer = z.object({
  members: z.array(groupMemberSchema),
  memberCount: z.int().min(0),
  position: groupPositionSchema,
  nextCursor: z.string().exactOptional(),
});
export const addedMembersAnswer = z.object({ group: groupSchema, applied, invited });
export const acceptedInvitationAnswer = z.object({ group: groupSchema, applied });
export const removedMemberAnswer = z.object({ applied });
export const invitationsAnswer = z.object({ invitations: z.array(invitation) });

export const messageAnswer = z.object({ message: messageSchema });
export const messagesAnswer = z.object({ messages: z.array(messageSchema), position: groupPositionSchema, more });
export const eventsAnswer = z.object({
  events: z.array(groupEventSchema),
  position: groupPositionSchema,
  more,
  reset: z.literal(true).exactOptional().meta({
    description: 'The epoch was replaced, or history was removed: reload the messages, and go on from `position`',
  }),
});
export const readAnswer = z.object({
  readSeq: z.int().min(0),
  unreadCount: z.int().min(0),
  position: groupPositionSchema,
});

export const ownUserAnswer = z.object({ user: ownUserSchema });
export const usersAnswer = z.object({ users: z.array(userSchema) });
export const realtimeTokenAnswer = z.object({
  token: z.string(),
  expiresAt: z.int().meta({ description: 'Seconds since 1970' }),
  relayUrl: z.string(),
});
export const iceServersAnswer = z.object({
  iceServers: z.array(
    z.object({
      urls: z.array(z.string()),
      username: z.string().exactOptional(),
      credential: z.string().exactOptional(),
    }),
  ),
  expiresAt: z.int().exactOptional().meta({ description: 'When the credentials end, in seconds since 1970' }),
});
export const demoLoginAnswer = z.object({ user: z.object({ id: userId, name: z.string() }), token: z.string() });

export const membershipsAnswer = z.object({
  users: z.array(z.object({ userId, groupIds: z.array(groupId) })),
});
export const historyAnswer = z.object({
  groups: z.array(z.object({ groupId, position: groupPositionSchema.nullable(), events: z.array(groupEventSchema) })),
});
const counts = z.object({ seq: z.int().min(1), received: z.int().min(0), read: z.int().min(0) });
export const cursorsAnswer = z.object({
  groups: z.record(
    groupId,
    z.object({
      memberCount: z.int().min(0),
      seq: z.int().min(0).exactOptional().meta({ description: 'Where the group stands: no cursor is above it' }),
      counts: z
        .array(counts.extend({ userId }))
        .exactOptional()
        .meta({ description: 'In groups over 100 members, for senders whose newest message the cursors moved over' }),
      notMembers: z
        .array(userId)
        .exactOptional()
        .meta({ description: 'Users who are no members of the group: none of their cursors is stored' }),
    }),
  ),
});
export const receiptsAnswer = z.object({
  memberCount: z.int().min(0),
  position: groupPositionSchema,
  users: z
    .record(userId, z.object({ received: z.int().min(0), read: z.int().min(0) }))
    .exactOptional()
    .meta({ description: 'Every member’s cursors, in groups of up to 100 members' }),
  counts: counts.nullable().exactOptional().meta({
    description: 'In larger groups: how many others have received and read the own newest message; null without one',
  }),
});
const hop = z.enum(HOPS);
const recipientState = z.enum(RECIPIENT_STATES);
const moment = z.string().meta({ format: 'date-time' }).exactOptional();
const users = z.int().min(0);
export const traceAnswer = z.object({
  messageId: z.string(),
  groupId,
  seq: z.int().min(1),
  verdict: z.object({
    state: z.enum(['delivered', 'partly', 'stopped']),
    hop: hop.meta({ description: 'The first one that it did not pass for everybody' }),
    code: z.string().meta({ description: 'For programs; docs/reference/commands.md lists them' }),
    cause: z.string(),
    fix: z.string(),
  }),
  hops: z.array(
    z.object({
      hop,
      ok: z.boolean(),
      at: moment,
      ms: z.number().min(0).exactOptional().meta({ description: 'Since the hop before' }),
      node: z.string().exactOptional(),
      count: z.int().min(0).exactOptional().meta({ description: 'Connections or users that it is about' }),
      detail: z.string(),
    }),
  ),
  summary: z.partialRecord(recipientState, users).meta({ description: 'Recipients by state' }),
  summaryOf: users.exactOptional().meta({ description: 'How many recipients are summed up, where there are more' }),
  recipientCount: users,
  recipients: z.array(
    z.object({
      userId,
      state: recipientState,
      why: z.string(),
      fix: z.string().exactOptional(),
      at: moment,
      node: z.string().exactOptional(),
      socketId: z.string().exactOptional(),
      code: z.string().exactOptional(),
    }),
  ),
  unreachable: z.array(z.string()).meta({ description: 'Relays that are counted on and did not answer' }),
  next: z.string().exactOptional().meta({ description: '`after` of the next page of recipients' }),
});
export const seenAnswer = z.object({});
export const healthAnswer = z.object({
  database: z.object({
    kind: z.enum(['embedded', 'postgres']),
    state: z.enum(['writable', 'read-only', 'out-of-order', 'unreachable']),
    missingMigrations: z
      .array(z.string())
      .exactOptional()
      .meta({ description: 'Files that this API has and the database has not seen; none: it is up to date' }),
    isPooled: z.boolean().exactOptional().meta({ description: 'Whether a pooler is in between' }),
  }),
  relay: z.object({ connected: z.boolean() }),
});
export const clientEventAnswer = clientEventAnswerSchema;

export const liveAnswer = z.object({ status: z.literal('live') });
export const readyAnswer = z.union([
  z.object({ status: z.literal('ready') }),
  z.object({ status: z.literal('degraded'), degraded: z.array(z.literal('relay')) }),
]);
export const unreadyAnswer = z.object({
  status: z.literal('unready'),
  failing: z.array(z.enum(['draining', 'database'])),
});
