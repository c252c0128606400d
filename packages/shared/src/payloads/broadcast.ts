import { z } from 'zod';
import { boundedArray } from '../bounds.ts';
import type { ErrorBody } from '../errors.ts';
import { isPublishableEvent } from '../event-names.ts';
import { idSchema, userIdSchema } from '../ids.ts';
import { isJsonObject, type JsonObject, type JsonObjectInput } from '../json.ts';
import { epochSchema, seqSchema } from '../position-schemas.ts';
import type { Position } from '../positions.ts';
import { cursorsAnswerSchema } from './internal.ts';
import type { GroupEvent } from './messaging.ts';
import { type Delivery, deliveryWish } from './trace.ts';

/** Bounds of the internal broadcast API. Sizes are bytes of UTF-8 JSON. */
export const BROADCAST_LIMITS = { batchItems: 1_000, batchBytes: 900_000, userIds: 1_000, cursors: 1_000 } as const;

const eventName = z.string().max(64).refine(isPublishableEvent, {
  error: 'must be 1-64 characters of A-Z a-z 0-9 _ : . - and no reserved name',
});
const jsonObject: z.ZodType<JsonObject, JsonObjectInput> = z.custom<JsonObject>(isJsonObject, {
  error: 'must be a plain JSON object',
});
const userIds = boundedArray(userIdSchema, { max: BROADCAST_LIMITS.userIds });

const positionTogether = {
  check: (input: { epoch?: string | undefined; seq?: number | undefined }) =>
    (input.epoch === undefined) === (input.seq === undefined),
  issue: { error: 'epoch and seq come together or not at all', path: ['seq'] },
};

/** `api-broadcast-message`. `message` is passed through; the envelope wins over its own fields. */
export const broadcastSchema = z
  .object({
    groupId: idSchema,
    message: jsonObject,
    id: idSchema.optional(),
    epoch: epochSchema.optional(),
    seq: seqSchema.optional(),
    event: eventName.default('new-message'),
    exceptSocketId: z
      .string()
      .regex(/^[\w-]{1,64}$/)
      .optional(),
    exceptUserId: userIdSchema.optional(),
    expectedUserIds: deliveryWish.expectedUserIds.optional(),
    waitFor: deliveryWish.waitFor.optional(),
    withinMs: deliveryWish.withinMs.optional(),
    traceparent: z
      .string()
      .max(128)
      .optional()
      .describe('W3C Trace Context: the span that this broadcast belongs to. One that is malformed is ignored'),
  })
  .refine((input) => positionTogether.check(input), positionTogether.issue)
  .refine(
    ({ expectedUserIds, waitFor, withinMs }) =>
      expectedUserIds !== undefined || (waitFor === undefined && withinMs === undefined),
    { error: 'say whom you wait for: waitFor and withinMs come with expectedUserIds', path: ['expectedUserIds'] },
  );

/** `api-broadcast-batch`. Items are parsed one by one, so that a bad one fails alone. */
export const batchSchema = z.object({
  items: boundedArray(z.unknown(), { max: BROADCAST_LIMITS.batchItems }),
});

export const notifySchema = z.object({ userIds, event: eventName, data: jsonObject });

/** `epoch` and `seq`: the position of the change in the group's events; one that comes late is then recognised. */
const memberChange = { groupId: idSchema, epoch: epochSchema.optional(), seq: seqSchema.optional() };
export const membersSchema = z
  .object({ ...memberChange, userIds })
  .refine(positionTogether.check, positionTogether.issue);

/** With `everyone` instead of `userIds`, all users who are or were in the group are removed, as one change. */
export const removeMembersSchema = z
  .object({ ...memberChange, userIds: userIds.optional(), everyone: z.literal(true).optional() })
  .refine(positionTogether.check, positionTogether.issue)
  .refine((input) => (input.userIds === undefined) !== (input.everyone === undefined), {
    error: 'userIds or everyone: one of them, and not both',
    path: ['userIds'],
  });

export const disconnectSchema = z.object({
  userIds,
  code: z.string().regex(/^[A-Z][A-Z0-9_]{0,63}$/, { error: 'must be upper case letters, digits and underscores' }),
  message: z.string().max(500).optional(),
  next: z.enum(['refresh-token', 'reconnect', 'stop']).default('stop'),
  /** Unix seconds, as `iat`: tokens issued earlier are refused from now on. */
  revokeBefore: z.int().nonnegative().optional(),
});

/**
 * `api-update-cursors`: what the back end has stored of how far members are, such as what was read over HTTP. At most 1,000 cursors.
 * `groups`: as in the answer to `/internal/cursors`.
 */
export const storedCursorsSchema = z.object({
  cursors: boundedArray(
    z.object({
      userId: userIdSchema,
      groupId: idSchema,
      received: z.int().nonnegative().optional(),
      read: z.int().nonnegative().optional(),
    }),
    { max: BROADCAST_LIMITS.cursors },
  ),
  groups: cursorsAnswerSchema.shape.groups,
});

export type StoredCursorsInput = z.input<typeof storedCursorsSchema>;
export type BroadcastInput = z.input<typeof broadcastSchema>;
export type NotifyInput = z.input<typeof notifySchema>;
export type MembersInput = z.input<typeof membersSchema>;
export type RemoveMembersInput = z.input<typeof removeMembersSchema>;
export type DisconnectInput = z.input<typeof disconnectSchema>;

/**
 * `UNDECIDED_MEMBERS`: connections of this relay are not in the group, although their tokens name it, because the API could not be asked
 * about them yet. `FIELDS_REPLACED`: members see the envelope's fields in place of some of the message's own. `FIELDS_IGNORED`:
 * the broadcast has fields that nobody reads. `UNSAID_EVENT`: of this relay's
 * connections nobody is told, since their dialects have no name for this event.
 */
export type BroadcastWarning =
  | 'NO_RECIPIENTS'
  | 'UNPOSITIONED'
  | 'UNDECIDED_MEMBERS'
  | 'FIELDS_REPLACED'
  | 'FIELDS_IGNORED'
  | 'UNSAID_EVENT';

/** `connections`: local members when accepted. `nodes`: relays listening to the group. */
export interface Recipients {
  connections: number;
  nodes: number;
}

export interface BroadcastResult {
  id: string;
  groupId: string;
  position: Position | null;
  duplicate: boolean;
  /** How far the relay's log has got; only with a duplicate. A publisher that is behind it has lost events that it once had. */
  head?: Position;
  recipients: Recipients;
  warnings: BroadcastWarning[];
  /** For people: what the warnings are about, such as the group that may have been meant. */
  hint?: string;
  /** Only for a publisher that asked with `expectedUserIds`. */
  delivery?: Delivery;
}

/** Every acknowledgement: the result with `ok: true`, or an error. */
export type Answer<T> = ({ ok: true } & T) | { ok: false; error: ErrorBody };

export interface BatchResult {
  results: Answer<BroadcastResult>[];
}

/** `api-get-history`: the events that the relay's log holds of a group after `since`, oldest first. */
export const historySchema = z.object({
  groupId: idSchema,
  since: z.coerce.number<number | string>().int().nonnegative().optional(),
  limit: z.coerce.number<number | string>().int().min(1).max(500).default(100),
});
export type HistoryInput = z.input<typeof historySchema>;
export type HistoryQuery = z.output<typeof historySchema>;

export interface HistoryResult {
  groupId: string;
  /** The position of the log's newest event; `null` when the log does not know the group. */
  position: Position | null;
  /** The log holds every event above this `seq`. */
  floor: number;
  events: GroupEvent[];
  more: boolean;
}
