import {
  type BatchResult,
  type BroadcastResult,
  ERROR_CODES,
  type ErrorBody,
  type ErrorCode,
  epochSchema,
  type GroupEvent,
  type HistoryResult,
  type PresenceResult,
  positionSchema,
  type RelayCommandKind,
} from '@groupcast/shared';
import { z } from 'zod';

/** `Yes` where two types have the same keys and take each other's values. */
type IfSame<A, B, Yes> = [A, keyof A] extends [B, keyof B] ? ([B, keyof B] extends [A, keyof A] ? Yes : never) : never;

/** A schema that compiles only while it describes `T`, all of it and nothing else. Nothing is parsed with it: it is for the documents. */
export function describing<T>(): <S extends z.ZodType>(schema: IfSame<z.output<S>, T, S>) => S {
  return (schema) => schema;
}

const codes = Object.keys(ERROR_CODES) as [ErrorCode, ...ErrorCode[]];
export const errorBodySchema = describing<ErrorBody>()(
  z.object({
    code: z.enum(codes),
    message: z.string().describe('For people'),
    retryable: z.boolean().describe('The same again may succeed'),
    retryAfterMs: z.number().exactOptional(),
    details: z.record(z.string(), z.unknown()).exactOptional(),
  }),
);
/** The body of every answer that is no success. */
export const errorAnswerSchema = z.object({ error: errorBodySchema });

/** One event of a group, with the publisher's own fields beside the envelope. */
export const groupEventSchema = z.looseObject({
  event: z.string(),
  id: z.string(),
  groupId: z.string(),
  epoch: epochSchema,
  seq: z.int().min(1),
}) as unknown as z.ZodType<GroupEvent>;

const broadcastResult = z.object({
  id: z.string(),
  groupId: z.string(),
  position: positionSchema.nullable(),
  duplicate: z.boolean(),
  head: positionSchema.exactOptional().describe('With a duplicate: how far the log has got'),
  recipients: z.object({
    connections: z.int().describe('Local members when the event was accepted'),
    nodes: z.int().describe('Relays that listen to the group'),
  }),
  warnings: z.array(z.enum(['NO_RECIPIENTS', 'UNPOSITIONED', 'UNDECIDED_MEMBERS'])),
  hint: z.string().exactOptional().describe('With NO_RECIPIENTS: which group may be meant, for people'),
});
export const broadcastResultSchema = describing<BroadcastResult>()(broadcastResult);

const ok = { ok: z.literal(true) };
export const refusalSchema = z.object({ ok: z.literal(false), error: errorBodySchema });
export const batchResultSchema = describing<BatchResult>()(
  z.object({ results: z.array(z.union([broadcastResult.extend(ok), refusalSchema])) }),
);
export const notifyResultSchema = z.object({ recipients: z.int() });
export const disconnectResultSchema = z.object({ connections: z.int() });
export const historyResultSchema = describing<HistoryResult>()(
  z.object({
    groupId: z.string(),
    position: positionSchema.nullable(),
    floor: z.int().describe('The log holds every event above this seq'),
    events: z.array(groupEventSchema),
    more: z.boolean(),
  }),
);
const presenceResult = z.object({
  users: z.array(z.object({ userId: z.string(), connections: z.int() })),
  numUsers: z.int(),
  numConnections: z.int(),
});
export const presenceResultSchema = describing<PresenceResult>()(presenceResult);
export const groupPresenceSchema = presenceResult.extend({ groupId: z.string() });
export const doneSchema = z.object({});

/** What each command answers, over HTTP and on the socket; `ok: true` stands beside it. */
export const COMMAND_ANSWERS = {
  broadcast: broadcastResultSchema,
  batch: batchResultSchema,
  notify: notifyResultSchema,
  'add-members': doneSchema,
  'remove-members': doneSchema,
  'disconnect-users': disconnectResultSchema,
} as const satisfies Readonly<Record<RelayCommandKind, z.ZodObject>>;

/** The responses of a route: `answer` with `ok: true`, or an error. */
export function responsesOf(answer: z.ZodObject): { 200: z.ZodType; default: z.ZodType } {
  return {
    200: answer.extend(ok).describe('Done'),
    default: errorAnswerSchema.describe('Refused: the code says why, and its status is the answer’s'),
  };
}
