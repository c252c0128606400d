import { z } from 'zod';
import {
  awaitDeliverySchema,
  broadcastSchema,
  type ClientEvents,
  deleteMessageSchema,
  disconnectSchema,
  editMessageSchema,
  epochSchema,
  type GroupHead,
  getPresenceSchema,
  getPresencesSchema,
  historySchema,
  isJson,
  type JoinGroupResult,
  type JsonValue,
  joinGroupSchema,
  leaveGroupSchema,
  type MessageStatus,
  type MonitorEvent,
  type MonitorSnapshot,
  markSchema,
  membersSchema,
  messageSchema,
  type Notification,
  notifySchema,
  positionSchema,
  type ReadCursor,
  type RelayEvents,
  type ResumeResult,
  refreshTokenSchema,
  removeMembersSchema,
  resumeSchema,
  type ServiceEvents,
  type ServiceState,
  type SessionEnding,
  type Signal,
  sendMessageSchema,
  signalSchema,
  storedCursorsSchema,
  type Typing,
  traceQuerySchema,
  typingSchema,
  updateCursorsSchema,
  viewGroupSchema,
  watchGroupSchema,
} from '../../packages/shared/src/index.ts';
import {
  batchResultSchema,
  broadcastResultSchema,
  deliveryResultSchema,
  describing,
  disconnectResultSchema,
  doneSchema,
  errorBodySchema,
  groupEventSchema,
  groupPresenceSchema,
  historyResultSchema,
  notifyResultSchema,
  presenceResultSchema,
  relayTraceSchema,
} from '../../services/socket-relay/src/internal-http/answers.ts';

/** One event as the documents show it. `answer` is what the acknowledgement has beside `ok: true`. */
export interface EventDescription {
  summary: string;
  payload: z.ZodType;
  answer?: z.ZodType;
}

const groupId = z.string();
const groupOnly = z.object({ groupId });
const recovery = {
  recovered: z.boolean(),
  position: positionSchema.nullable(),
  events: z.array(groupEventSchema),
  more: z.boolean(),
};
const resumeResultSchema = describing<ResumeResult>()(
  z.object({
    groups: z.record(z.string(), z.union([z.object(recovery), z.object({ error: errorBodySchema })])),
  }),
);
const renewed = z.object({
  expiresAt: z.number().describe('Unix seconds'),
  groups: z.array(z.string()),
  undecided: z.array(z.string()).optional(),
});

const marked = z.object({ seq: z.int().exactOptional().describe('With `messageId`: where the message stands') });
const withMessage = z.object({ message: messageSchema });

/** Every event of the map, and no other: the compiler holds the two to each other. */
export const CLIENT_EVENTS = {
  'join-group': {
    summary: 'join, and recover from a position',
    payload: joinGroupSchema,
    answer: describing<JoinGroupResult>()(z.object({ groupId, ...recovery })),
  },
  'leave-group': { summary: 'leave', payload: leaveGroupSchema, answer: groupOnly },
  resume: { summary: 'recover many groups', payload: resumeSchema, answer: resumeResultSchema },
  'refresh-token': { summary: 'replace the token', payload: refreshTokenSchema, answer: renewed },
  'update-cursors': { summary: 'say how far one is', payload: updateCursorsSchema, answer: doneSchema },
  'mark-delivered': { summary: 'the same, received', payload: markSchema, answer: marked },
  'mark-read': { summary: 'the same, read', payload: markSchema, answer: marked },
  'send-message': { summary: 'save a message', payload: sendMessageSchema, answer: withMessage },
  'edit-message': { summary: 'change an own message', payload: editMessageSchema, answer: withMessage },
  'delete-message': { summary: 'delete an own message', payload: deleteMessageSchema, answer: doneSchema },
  'get-presence': {
    summary: 'ask who is there',
    payload: z.object({ ...getPresenceSchema.partial().shape, ...getPresencesSchema.partial().shape }),
    // The first three of one group, the last of many.
    answer: presenceResultSchema.partial().extend({
      groups: z
        .record(z.string(), z.union([presenceResultSchema, z.object({ error: errorBodySchema })]))
        .exactOptional(),
    }),
  },
  'watch-group': { summary: 'be told who comes and goes', payload: watchGroupSchema, answer: groupOnly },
  typing: { summary: 'say that one types, or has stopped', payload: typingSchema, answer: doneSchema },
  'view-group': { summary: 'say which group is on screen', payload: viewGroupSchema, answer: doneSchema },
  signal: {
    summary: 'tell another member something, such as an offer of a call',
    payload: signalSchema,
    answer: z.object({ delivered: z.int().describe('Connections, on all relays') }),
  },
} as const satisfies Record<keyof ClientEvents, EventDescription>;

export const SERVICE_EVENTS = {
  'api-broadcast-message': {
    summary: 'send one event to a group',
    payload: broadcastSchema,
    answer: broadcastResultSchema,
  },
  'api-broadcast-batch': {
    summary: 'send many',
    payload: z.object({ items: z.array(broadcastSchema).max(1_000) }),
    answer: batchResultSchema,
  },
  'api-notify-users': { summary: 'send an event to users', payload: notifySchema, answer: notifyResultSchema },
  'api-add-members': { summary: 'put live connections into a group', payload: membersSchema, answer: doneSchema },
  'api-remove-members': { summary: 'take them out', payload: removeMembersSchema, answer: doneSchema },
  'api-disconnect-users': { summary: 'end sessions', payload: disconnectSchema, answer: disconnectResultSchema },
  'api-update-cursors': { summary: 'show how far members are', payload: storedCursorsSchema, answer: doneSchema },
  'api-get-history': { summary: 'read the log', payload: historySchema, answer: historyResultSchema },
  'api-get-presence': { summary: 'ask who is there', payload: getPresenceSchema, answer: groupPresenceSchema },
  'api-get-trace': {
    summary: 'ask where an event is, for monitors too',
    payload: traceQuerySchema,
    answer: relayTraceSchema,
  },
  'api-await-delivery': {
    summary: 'ask whom an event has reached',
    payload: awaitDeliverySchema,
    answer: deliveryResultSchema,
  },
  'refresh-token': { summary: 'replace the token', payload: refreshTokenSchema, answer: renewed },
} as const satisfies Record<keyof ServiceEvents, EventDescription>;

/** The names of the map that stand in it; it is open, since publishers choose their own. */
type RelayEvent = keyof { [Name in keyof RelayEvents as string extends Name ? never : Name]: true };
type PayloadOf<Name extends RelayEvent> = Parameters<RelayEvents[Name]>[0];

const connection = {
  socketId: z.string(),
  userId: z.string(),
  transport: z.string(),
  groups: z.array(z.string()),
};
const seen = { at: z.number().describe('Milliseconds since the Unix epoch'), node: z.string() };
const member = { socketId: z.string(), userId: z.string(), groupId };
const monitorWarning = z.object({
  ...seen,
  kind: z.literal('warning'),
  code: z.string(),
  message: z.string(),
  groupId: groupId.exactOptional(),
  socketId: z.string().exactOptional(),
  userId: z.string().exactOptional(),
});
const monitorEvent = z.discriminatedUnion('kind', [
  z.object({ ...seen, kind: z.literal('connected'), ...connection }),
  z.object({
    ...seen,
    kind: z.literal('disconnected'),
    socketId: z.string(),
    userId: z.string(),
    reason: z.string(),
  }),
  z.object({ ...seen, kind: z.literal('refused'), code: z.string(), message: z.string() }),
  z.object({ ...seen, kind: z.literal('joined'), ...member }),
  z.object({ ...seen, kind: z.literal('left'), ...member, reason: z.string() }),
  z.object({
    ...seen,
    kind: z.literal('broadcast'),
    groupId,
    id: z.string(),
    event: z.string(),
    position: positionSchema.nullable(),
    connections: z.int(),
    duplicate: z.boolean(),
  }),
  monitorWarning,
]);

export const RELAY_EVENTS = {
  'joined-groups': {
    summary: 'after connecting, and with each new group',
    payload: describing<PayloadOf<'joined-groups'>>()(
      z.object({
        groups: z.array(z.object({ groupId, position: positionSchema.nullable() })),
        undecided: z.array(z.string()).exactOptional(),
      }),
    ),
  },
  resumed: { summary: 'what was missed, after a handshake with positions', payload: resumeResultSchema },
  'left-groups': {
    summary: 'a membership has ended',
    payload: describing<PayloadOf<'left-groups'>>()(
      z.object({
        groups: z.array(z.string()),
        reason: z.enum(['member-removed', 'token-refreshed', 'group-limit']),
      }),
    ),
  },
  'group-head': {
    summary: 'where a group stands',
    payload: describing<GroupHead>()(
      z.object({ groupId, epoch: epochSchema, seq: z.int().min(0), skipId: z.string().exactOptional() }),
    ),
  },
  presence: {
    summary: 'who has come and gone',
    payload: describing<PayloadOf<'presence'>>()(
      z.object({ groupId, online: z.array(z.string()), offline: z.array(z.string()) }),
    ),
  },
  typing: {
    summary: 'a member types, or has stopped',
    payload: describing<Typing>()(z.object({ groupId, userId: z.string(), isTyping: z.boolean() })),
  },
  receipt: {
    summary: 'how far members are',
    payload: z.object({
      groupId,
      users: z
        .record(z.string(), z.object({ received: z.int().exactOptional(), read: z.int().exactOptional() }))
        .exactOptional(),
      counts: z.object({ seq: z.int(), received: z.int(), read: z.int() }).exactOptional(),
      memberCount: z.int().exactOptional(),
    }),
  },
  'message-status': {
    summary: 'the same by message, in dialects',
    payload: describing<MessageStatus>()(
      z.object({ groupId, messageId: z.string(), status: z.enum(['delivered', 'read']), userId: z.string() }),
    ),
  },
  'read-cursor': {
    summary: 'one has read so far, on another connection',
    payload: describing<ReadCursor>()(z.object({ groupId, readSeq: z.int() })),
  },
  notification: {
    summary: 'a message in a group that is not on screen',
    payload: z.object({
      kind: z.literal('message'),
      groupId,
      message: z.custom<Notification['message']>().meta({ type: 'object', description: 'The payload of new-message' }),
    }),
  },
  signal: {
    summary: 'another member tells something',
    payload: describing<Signal>()(
      z.object({
        groupId,
        fromUserId: z.string(),
        kind: z.string(),
        data: z.custom<JsonValue>((value) => isJson(value)),
      }),
    ),
  },
  'session-ending': {
    summary: 'the connection will be closed, and why',
    payload: describing<SessionEnding>()(
      z.object({
        code: z.string(),
        message: z.string(),
        next: z.enum(['refresh-token', 'reconnect', 'stop']),
        retryAfterMs: z.number(),
      }),
    ),
  },
  'service-state': {
    summary: 'whether the relay delivers',
    payload: describing<ServiceState>()(z.object({ live: z.boolean() })),
  },
  'monitor-snapshot': {
    summary: 'every connection, once',
    payload: describing<MonitorSnapshot>()(
      z.object({
        node: z.string(),
        at: z.number(),
        connections: z.array(z.object(connection)),
        warnings: z.array(monitorWarning).exactOptional(),
      }),
    ),
  },
  'monitor-event': {
    summary: 'what happens, as it happens',
    payload: describing<MonitorEvent>()(monitorEvent),
  },
} as const satisfies Record<RelayEvent, EventDescription>;

const envelope = { id: z.string(), groupId, epoch: epochSchema.nullable(), seq: z.int().min(1).nullable() };
const userId = z.string();
const userIds = z.array(z.string());
const aboutMessage = { ...envelope, messageId: z.string(), senderId: userId };
const groupEvent = (summary: string, fields: z.ZodRawShape): EventDescription => ({
  summary,
  payload: z.looseObject(fields),
});

/** Events of groups as Groupcast's own API publishes them, flat on the socket. Other publishers have names and fields of their own. */
export const GROUP_EVENTS: Readonly<Record<string, EventDescription>> = {
  'new-message': groupEvent('a message, flat', {
    ...envelope,
    senderId: userId.optional(),
    sender: z.looseObject({ userId }).optional(),
    kind: z.string().optional(),
    content: z.string().optional(),
    custom: z.looseObject({}).optional(),
    createdAt: z.string().optional(),
    clientMessageId: z.string().optional(),
    attachments: z.array(z.looseObject({})).optional(),
  }),
  'message-updated': groupEvent('a message was edited', {
    ...aboutMessage,
    content: z.string(),
    custom: z.looseObject({}).nullable().optional(),
    updatedAt: z.string(),
  }),
  'message-deleted': groupEvent('a message was deleted', { ...aboutMessage, messageSeq: z.int() }),
  'group-created': groupEvent('a group was made', {
    ...envelope,
    name: z.string().nullable(),
    kind: z.enum(['group', 'direct']),
    userIds,
    custom: z.looseObject({}).optional(),
  }),
  'group-updated': groupEvent('a group’s name, fields or retention were changed', {
    ...envelope,
    name: z.string().nullable(),
    retentionDays: z.int().nullable().optional(),
    custom: z.looseObject({}).nullable().optional(),
    userId,
  }),
  'group-deleted': groupEvent('a group was deleted', { ...envelope, userId }),
  'member-added': groupEvent('there are new members', { ...envelope, userIds, addedBy: userId }),
  'member-removed': groupEvent('a member is gone', { ...envelope, userIds, removedBy: userId }),
  'event-omitted': groupEvent('an event was refused for good', { ...envelope, code: z.string() }),
};
