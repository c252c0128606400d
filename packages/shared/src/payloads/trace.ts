import { z } from 'zod';
import { boundedArray } from '../bounds.ts';
import { idSchema, userIdSchema } from '../ids.ts';
import { epochSchema, seqSchema } from '../position-schemas.ts';
import type { Position } from '../positions.ts';
import { TRACE_LIMITS } from '../trace-limits.ts';

/** The hops of a message, in order. Nothing of a later hop is true before the one before it is. */
export const HOPS = [
  'saved',
  'claimed',
  'relay-accepted',
  'published',
  'node-received',
  'written',
  'client-received',
  'client-applied',
] as const;
export type Hop = (typeof HOPS)[number];

/** Reasons for which a user is not there. They are bounded, for metrics. */
export const ABSENT_STATES = [
  'slow-consumer',
  'connected-not-joined',
  'undecided',
  'offline',
  'token-expired',
  'refused',
  'node-unreachable',
] as const;
export type AbsentState = (typeof ABSENT_STATES)[number];

/** The states of users who have the message. */
const REACHED_STATES = ['applied', 'received', 'proven'] as const;

/**
 * How far a message is for one user, the furthest that is known. `proven`: the client's engine has read it, which its answer to a later ping
 * says. `received` and `applied` are the user's own cursors.
 */
export const RECIPIENT_STATES = [...REACHED_STATES, 'written', 'pending', ...ABSENT_STATES] as const;
export type RecipientState = (typeof RECIPIENT_STATES)[number];

const reached: ReadonlySet<RecipientState> = new Set(REACHED_STATES);

/** Whether a user in this state has the message. */
export function hasReached(state: RecipientState): boolean {
  return reached.has(state);
}

/** `at`: ISO 8601, of the server's clock. `code`: of a refusal. */
export interface TraceRecipient {
  userId: string;
  state: RecipientState;
  why: string;
  fix?: string;
  at?: string;
  node?: string;
  socketId?: string;
  code?: string;
}

/** `ms`: since the hop before. `count`: connections or users that it is about. */
export interface TraceHop {
  hop: Hop;
  ok: boolean;
  at?: string;
  ms?: number;
  node?: string;
  count?: number;
  detail: string;
}

/** Codes of recipients who are `refused` an event on purpose, beside the error codes with which connections and joins are. */
export const RECIPIENT_CODES = ['EXCEPTED', 'UNSAID_EVENT'] as const;

/** The codes of a verdict; the API knows further ones. */
export const RELAY_VERDICT_CODES = [
  'DELIVERED',
  'NOT_ACCEPTED',
  'NOT_REMEMBERED',
  'REDIS_UNREACHABLE',
  'NODE_BEHIND',
  'NODE_UNREACHABLE',
  'NO_RECIPIENTS',
  'NEAR_MISS',
  'NOT_WRITTEN',
  'NOT_PROVEN',
  'SLOW_CONSUMER',
  'NOT_JOINED',
  'UNDECIDED',
  'OFFLINE',
  'TOKEN_EXPIRED',
  'REFUSED',
] as const;

/** Codes of an API's verdicts, beside those of relays. */
export const API_VERDICT_CODES = [
  'NOT_A_RECIPIENT',
  'DATABASE_READ_ONLY',
  'LEASED_ELSEWHERE',
  'NOT_CLAIMED',
  'RELAY_REFUSED',
  'RELAY_UNREACHABLE',
  'ATTEMPT_FAILED',
  'EVENT_OMITTED',
  'NOT_PUBLISHED',
] as const;

/** `hop` is the first one that the message did not pass; `client-received` or `client-applied` where it was delivered. */
export interface TraceVerdict {
  state: 'delivered' | 'partly' | 'stopped';
  hop: Hop;
  /** In upper case, for programs. */
  code: string;
  cause: string;
  fix: string;
}

/** Users by state; states of which there is nobody are left out. */
export type TraceSummary = Partial<Record<RecipientState, number>>;

const messageOfGroup = {
  groupId: idSchema,
  id: idSchema.optional(),
  epoch: epochSchema.optional(),
  seq: z.coerce.number<number | string>().pipe(seqSchema).optional(),
};
const idOrSeq = {
  check: (input: { id?: string | undefined; seq?: number | undefined }) =>
    (input.id === undefined) !== (input.seq === undefined),
  issue: { error: 'id or seq: one of them, and not both', path: ['seq'] },
};

/**
 * `api-get-trace`, `GET /v1/traces`. Without `userIds` it is about the users whom the relays know: those in the group now, and those of whom
 * they remember why they are not. `after`: the last user of the page before.
 */
export const traceQuerySchema = z
  .object({
    ...messageOfGroup,
    userIds: boundedArray(userIdSchema, { max: TRACE_LIMITS.userIds }).optional(),
    after: userIdSchema.optional(),
    limit: z.coerce.number<number | string>().int().min(1).max(TRACE_LIMITS.page).default(100),
  })
  .refine(idOrSeq.check, idOrSeq.issue);
export type TraceQueryInput = z.input<typeof traceQuerySchema>;
export type TraceQuery = z.output<typeof traceQuerySchema>;

/** One relay, and the message there. `arrivedAt` is missing where it has not come there, or has left its memory. */
export interface TraceNode {
  node: string;
  /** Local connections in the group. */
  members: number;
  arrivedAt?: string;
}

/** Connections that were refused before it was known whose they were, by code. `at`: ISO 8601, of the last one. */
export interface UnknownRefusals {
  code: string;
  message: string;
  count: number;
  at: string;
}

/** Refusals that a verdict names beside the newest. */
const MAX_OTHER_REFUSALS = 6;

const SHELL_WORD = /^[\w@%+=:,./-]+$/;

/**
 * Names the user or the group in the command of a fix, `--user ID`, as one word of a shell: an id may have characters that mean something to
 * it, and may begin as an option does.
 */
export function nameIn(fix: string, option: 'user' | 'group', id: string): string {
  const word = SHELL_WORD.test(id) ? id : `'${id.replaceAll("'", "'\\''")}'`;
  return fix.replace(`--${option} ID`, () => `--${option}${id.startsWith('-') ? '=' : ' '}${word}`);
}

/** Where somebody is offline, says which connections were refused lately: one of them may be theirs, and nobody can know. */
export function withRefusals(verdict: TraceVerdict, refusals: readonly UnknownRefusals[]): TraceVerdict {
  // Each client whose session has ended by a restart or a long sleep asks for it once more: others say more.
  const isVague = ({ code }: UnknownRefusals): boolean => code === 'UNKNOWN_SESSION';
  const [newest, ...others] = refusals.toSorted((a, b) => Number(isVague(a)) - Number(isVague(b)));
  if (verdict.code !== 'OFFLINE' || !newest) return verdict;
  const { code, message, count } = newest;
  const times = count === 1 ? 'a connection was' : `${count} connections were`;
  const further = others.slice(0, MAX_OTHER_REFUSALS).map((each) => `${each.code} (${each.count})`);
  const also = further.length > 0 ? `; and ${further.join(', ')}` : '';
  return {
    ...verdict,
    cause: `${verdict.cause}; lately ${times} refused, nobody knows whose (${code}): ${message}${also}`,
    fix: `if one of the refused connections was theirs, see ${code} in docs/reference/errors.md; otherwise ${verdict.fix}`,
  };
}

/** One event of a group, as far as the relays know it. */
export interface RelayTrace {
  groupId: string;
  /** Missing where neither log nor memory of a relay has the event. */
  id?: string;
  event?: string;
  position: Position | null;
  /** From `relay-accepted` on. */
  hops: TraceHop[];
  verdict: TraceVerdict;
  nodes: TraceNode[];
  /** Relays that are counted on and did not answer. */
  unreachable: string[];
  /** The newest first, of the last ten minutes. */
  refusals: UnknownRefusals[];
  summary: TraceSummary;
  recipients: TraceRecipient[];
  /** There are more recipients: `after` of the next page. */
  next?: string;
}

export const waitForSchema = z.enum(['written', 'proven']);
export type WaitFor = z.output<typeof waitForSchema>;

export const deliveryWish = {
  expectedUserIds: boundedArray(userIdSchema, { max: TRACE_LIMITS.expectedUserIds }),
  waitFor: waitForSchema,
  withinMs: z.int().min(TRACE_LIMITS.minWithinMs).max(TRACE_LIMITS.maxWithinMs),
};

/** `api-await-delivery`, `POST /v1/deliveries`: asks about an event that has been broadcast, as a publisher may in the broadcast itself. */
export const awaitDeliverySchema = z
  .object({
    ...messageOfGroup,
    expectedUserIds: deliveryWish.expectedUserIds,
    waitFor: deliveryWish.waitFor.default('proven'),
    withinMs: deliveryWish.withinMs.default(TRACE_LIMITS.defaultWithinMs),
  })
  .refine(idOrSeq.check, idOrSeq.issue);
export type AwaitDeliveryInput = z.input<typeof awaitDeliverySchema>;
export type AwaitDelivery = z.output<typeof awaitDeliverySchema>;

/**
 * Those who were expected, by how far the event is for them. Each is in one list: `written` is there only with `waitFor: "written"`, and has those
 * who are not `proven`; `pending` are in the group, and it was not seen in time.
 */
export interface Delivery {
  proven: string[];
  written?: string[];
  pending: string[];
  absent: { userId: string; why: AbsentState; code?: string }[];
}
