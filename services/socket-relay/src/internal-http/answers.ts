import { errorAnswerSchema } from '@groupcast/service-kit';
import {
  ABSENT_STATES,
  type BatchResult,
  type BroadcastResult,
  type Delivery,
  type ErrorCode,
  epochSchema,
  type GroupEvent,
  type HistoryResult,
  HOPS,
  type PresenceResult,
  positionSchema,
  RECIPIENT_STATES,
  type RelayCommandKind,
  type RelayTrace,
} from '@groupcast/shared';
import { z } from 'zod';

/** `Yes` where two types have the same keys and take each other's values. */
type IfSame<A, B, Yes> = [A, keyof A] extends [B, keyof B] ? ([B, keyof B] extends [A, keyof A] ? Yes : never) : never;

/** A schema that compiles only while it describes `T`, all of it and nothing else. It is for the documents and for tests: no input is parsed with it. */
export function describing<T>(): <S extends z.ZodType>(schema: IfSame<z.output<S>, T, S>) => S {
  return (schema) => schema;
}

export const errorBodySchema = errorAnswerSchema.shape.error;

/** One event of a group, with the publisher's own fields beside the envelope. */
export const groupEventSchema = z.looseObject({
  event: z.string(),
  id: z.string(),
  groupId: z.string(),
  epoch: epochSchema,
  seq: z.int().min(1),
}) as unknown as z.ZodType<GroupEvent>;

const deliverySchema = describing<Delivery>()(
  z.object({
    proven: z.array(z.string()).describe('Their clients have read it'),
    written: z.array(z.string()).exactOptional().describe('With waitFor: "written"; those who are not proven'),
    pending: z.array(z.string()).describe('They are in the group, and it was not seen in time'),
    absent: z.array(z.object({ userId: z.string(), why: z.enum(ABSENT_STATES), code: z.string().exactOptional() })),
  }),
);
export const deliveryResultSchema = z.object({ delivery: deliverySchema });

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
  warnings: z.array(
    z.enum(['NO_RECIPIENTS', 'UNPOSITIONED', 'UNDECIDED_MEMBERS', 'FIELDS_REPLACED', 'FIELDS_IGNORED', 'UNSAID_EVENT']),
  ),
  delivery: deliverySchema.exactOptional().describe('With expectedUserIds: whom it has reached'),
  hint: z
    .string()
    .exactOptional()
    .describe('For people: what the warnings are about, such as the group that may be meant'),
});
export const broadcastResultSchema = describing<BroadcastResult>()(broadcastResult);

const ok = { ok: z.literal(true) };
/** An acknowledgement that refuses instead of answering. */
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

export const relayTraceSchema = describing<RelayTrace>()(
  z.object({
    groupId: z.string(),
    id: z.string().exactOptional(),
    event: z.string().exactOptional(),
    position: positionSchema.nullable(),
    hops: z.array(
      z.object({
        hop: z.enum(HOPS),
        ok: z.boolean(),
        at: z.string().exactOptional().describe('ISO 8601, of the server that saw it'),
        ms: z.number().exactOptional().describe('Milliseconds since the hop before'),
        node: z.string().exactOptional(),
        count: z.int().exactOptional(),
        detail: z.string(),
      }),
    ),
    verdict: z.object({
      state: z.enum(['delivered', 'partly', 'stopped']),
      hop: z.enum(HOPS),
      code: z.string(),
      cause: z.string(),
      fix: z.string(),
    }),
    nodes: z.array(z.object({ node: z.string(), members: z.int(), arrivedAt: z.string().exactOptional() })),
    unreachable: z.array(z.string()).describe('Relays that are counted on and did not answer'),
    refusals: z
      .array(z.object({ code: z.string(), message: z.string(), count: z.int(), at: z.string() }))
      .describe('Connections that were refused in the last ten minutes, before it was known whose they were'),
    summary: z.partialRecord(z.enum(RECIPIENT_STATES), z.int()).describe('Users by state'),
    recipients: z.array(
      z.object({
        userId: z.string(),
        state: z.enum(RECIPIENT_STATES),
        why: z.string(),
        fix: z.string().exactOptional(),
        at: z.string().exactOptional(),
        node: z.string().exactOptional(),
        socketId: z.string().exactOptional(),
        code: z.string().exactOptional(),
      }),
    ),
    next: z.string().exactOptional().describe('after of the next page'),
  }),
);

/** The answer of each command, over HTTP and on the socket; `ok: true` stands beside it. */
export const COMMAND_ANSWERS = {
  broadcast: broadcastResultSchema,
  batch: batchResultSchema,
  notify: notifyResultSchema,
  'add-members': doneSchema,
  'remove-members': doneSchema,
  'update-cursors': doneSchema,
  'disconnect-users': disconnectResultSchema,
} as const satisfies Readonly<Record<RelayCommandKind, z.ZodObject>>;

/** The success of a route: `answer` with `ok: true`. */
export function successOf(answer: z.ZodObject): { 200: z.ZodType } {
  return { 200: answer.extend(ok).describe('Done') };
}

/** Codes with which any route below `/v1` may refuse. */
export const COMMON_REFUSALS: readonly ErrorCode[] = [
  'SERVICE_TOKEN_INVALID',
  'FORBIDDEN',
  'ORIGIN_FORBIDDEN',
  'HOST_FORBIDDEN',
  'INVALID_PAYLOAD',
  'REQUEST_TIMEOUT',
  'PAYLOAD_TOO_LARGE',
  'INTERNAL',
];

const BROADCAST_REFUSALS: readonly ErrorCode[] = ['RATE_LIMITED', 'SERVER_DRAINING', 'BROKER_UNAVAILABLE'];
/** … and those of each command beside them. */
export const COMMAND_REFUSALS: Readonly<Record<RelayCommandKind, readonly ErrorCode[]>> = {
  broadcast: [...BROADCAST_REFUSALS, 'CONFLICT', 'POSITION_GAP'],
  batch: BROADCAST_REFUSALS,
  notify: ['BROKER_UNAVAILABLE'],
  'add-members': ['BROKER_UNAVAILABLE'],
  'remove-members': ['BROKER_UNAVAILABLE'],
  'update-cursors': ['BROKER_UNAVAILABLE'],
  'disconnect-users': ['BROKER_UNAVAILABLE'],
};
