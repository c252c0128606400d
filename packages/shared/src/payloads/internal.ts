import { z } from 'zod';
import { boundedArray, boundedRecord } from '../bounds.ts';
import { idSchema, userIdSchema } from '../ids.ts';
import { isJson, isJsonObject, type JsonObject, type JsonValue } from '../json.ts';
import { positionSchema } from '../position-schemas.ts';
import type { GroupEvent } from './messaging.ts';

/** Bounds of the requests and answers between the relay and the API. */
export const INTERNAL_LIMITS = {
  users: 100,
  groupsPerUser: 1_000,
  groups: 100,
  eventsPerGroup: 1_000,
  cursors: 1_000,
  seenUsers: 1_000,
  /** Bytes of the handshake's `auth` as JSON, and characters of a header, that are handed on. */
  authBytes: 16_384,
  headerLength: 8_192,
  /** Groups that a user may be signed in with. */
  connectGroups: 10_000,
  /** Groups of one user in an answer to `/internal/groups`. */
  groupsOfUser: 10_000,
} as const;

/** `POST /internal/connect`, with `AUTH_BY=back-end`: who is it that connects? Nothing of it has been verified. */
export const connectQuerySchema = z.object({
  /** The handshake's `auth` as the client sent it, without what is for the relay; `{token}` for `refresh-token`. */
  auth: z.custom<JsonObject>(isJsonObject, { error: 'must be a plain JSON object' }),
  cookie: z.string().max(INTERNAL_LIMITS.headerLength).optional(),
  authorization: z.string().max(INTERNAL_LIMITS.headerLength).optional(),
  origin: z.string().max(INTERNAL_LIMITS.headerLength).optional(),
  /** The peer's address: that of a proxy, where there is one. */
  address: z.string().max(64),
});
/** `groups` that are no ids are left out. `expiresAt` is in Unix seconds, in which no date of this age has twelve digits. */
export const connectAnswerSchema = z.object({
  userId: userIdSchema,
  groups: boundedArray(z.unknown(), { max: INTERNAL_LIMITS.connectGroups }).optional(),
  expiresAt: z.int().positive().max(99_999_999_999),
});
export type ConnectQuery = z.output<typeof connectQuerySchema>;
export type ConnectAnswer = z.output<typeof connectAnswerSchema>;

/** `POST /internal/memberships`: which of these groups is each user a member of? At most 100 users, 1,000 groups each. */
export const membershipQuerySchema = z.object({
  users: boundedArray(
    z.object({ userId: userIdSchema, groupIds: boundedArray(idSchema, { max: INTERNAL_LIMITS.groupsPerUser }) }),
    { max: INTERNAL_LIMITS.users },
  ),
});
export const membershipAnswerSchema = z.object({
  users: boundedArray(
    z.object({ userId: userIdSchema, groupIds: boundedArray(idSchema, { max: INTERNAL_LIMITS.groupsPerUser }) }),
    { max: INTERNAL_LIMITS.users },
  ),
});
export type MembershipQuery = z.output<typeof membershipQuerySchema>;
export type MembershipAnswer = z.output<typeof membershipAnswerSchema>;

/** `POST /internal/groups`: which groups is each of these users in? At most 100 users. */
export const groupsQuerySchema = z.object({ userIds: boundedArray(userIdSchema, { max: INTERNAL_LIMITS.users }) });
/** For each user, in the order of the question, at most 10,000 groups, those that were active last first. What is no id is left out. */
export const groupsAnswerSchema = z.object({
  users: boundedArray(
    z.object({ userId: userIdSchema, groupIds: boundedArray(z.unknown(), { max: INTERNAL_LIMITS.groupsOfUser }) }),
    { max: INTERNAL_LIMITS.users },
  ),
});
export type GroupsQuery = z.output<typeof groupsQuerySchema>;
export type GroupsAnswer = z.output<typeof groupsAnswerSchema>;

/** `POST /internal/history`: the events that a relay with an empty log needs to answer returning clients. At most 100 groups. */
export const historyFillQuerySchema = z.object({
  groups: boundedArray(idSchema, { max: INTERNAL_LIMITS.groups }),
  /** Newest events per group, at most. */
  limit: z.int().min(1).max(INTERNAL_LIMITS.eventsPerGroup),
});
/** `position` is that of the last event that the relay has accepted; `events` end there, without holes. Later ones are left out. */
export const historyFillAnswerSchema = z.object({
  groups: boundedArray(
    z.object({
      groupId: idSchema,
      position: positionSchema.nullable(),
      events: boundedArray(z.custom<GroupEvent>(isJsonObject), { max: INTERNAL_LIMITS.eventsPerGroup }),
    }),
    { max: INTERNAL_LIMITS.groups },
  ),
});
export type HistoryFillQuery = z.output<typeof historyFillQuerySchema>;
export type HistoryFillAnswer = z.output<typeof historyFillAnswerSchema>;

/** `POST /internal/cursors`: how far members are. At most 1,000; an older value changes nothing. */
export const cursorUpdatesSchema = z.object({
  cursors: boundedArray(
    z.object({
      userId: userIdSchema,
      groupId: idSchema,
      received: z.int().nonnegative().optional(),
      applied: z.int().nonnegative().optional(),
      read: z.int().nonnegative().optional(),
    }),
    { max: INTERNAL_LIMITS.cursors },
  ),
});
export type CursorUpdates = z.output<typeof cursorUpdatesSchema>;

/**
 * The answer to `/internal/cursors`. A back end may answer `{}`: then the moved cursors are shown to the group as they are. Of a group that
 * is named here with more than 100 members no names are shown, and the senders get `counts`.
 */
export const cursorsAnswerSchema = z.object({
  groups: boundedRecord(
    idSchema,
    z.object({
      memberCount: z.int().nonnegative(),
      /** Where the group stands: a cursor above it is shown as this. */
      seq: z.int().nonnegative().optional(),
      /** For members whose newest message may be read by more people than before. */
      counts: boundedArray(
        z.object({
          userId: userIdSchema,
          seq: z.int().nonnegative(),
          received: z.int().nonnegative(),
          read: z.int().nonnegative(),
        }),
        { max: INTERNAL_LIMITS.cursors },
      ).optional(),
      /** Users who are no members of the group: nothing was stored of them, and nobody is shown it. */
      notMembers: boundedArray(userIdSchema, { max: INTERNAL_LIMITS.cursors }).optional(),
    }),
    { max: INTERNAL_LIMITS.cursors },
  ).optional(),
});
export type CursorsAnswer = z.output<typeof cursorsAnswerSchema>;

/** `POST /internal/presence`: users who are connected, or were a moment ago. At most 1,000. */
export const seenUsersSchema = z.object({ userIds: boundedArray(userIdSchema, { max: INTERNAL_LIMITS.seenUsers }) });
export type SeenUsers = z.output<typeof seenUsersSchema>;

/** `POST /internal/events`: an event of a user that the relay does not carry out itself. The relay has checked who sends it. */
export const clientEventSchema = z.object({
  userId: userIdSchema,
  socketId: z.string().min(1).max(64),
  event: z.string().min(1).max(64),
  payload: z.custom<JsonValue>((value) => isJson(value), { error: 'must be JSON' }),
  /** Where the payload names a group: the sender is in it on this connection. */
  groupId: idSchema.optional(),
  dialect: z.string().min(1).max(64),
});
/** The error of an acknowledgement. The code is one of ours, or one of the back end's own. */
const clientEventErrorSchema = z.looseObject({
  code: z.string().min(1).max(64),
  message: z.string().max(1_000),
  retryable: z.boolean(),
  retryAfterMs: z.int().nonnegative().optional(),
});
/** The acknowledgement as the client shall get it: `{ok: true, …}` or `{ok: false, error}`. */
export const clientEventAnswerSchema = z
  .discriminatedUnion('ok', [
    z.looseObject({ ok: z.literal(true) }),
    z.looseObject({ ok: z.literal(false), error: clientEventErrorSchema }),
  ])
  .refine((answer): boolean => isJson(answer), { error: 'must be JSON' });
export type ClientEvent = z.output<typeof clientEventSchema>;
export type ClientEventAnswer = z.output<typeof clientEventAnswerSchema>;
