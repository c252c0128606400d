import { z } from 'zod';
import { boundedArray } from '../bounds.ts';
import { idSchema } from '../ids.ts';
import { positionSchema } from '../position-schemas.ts';

/** Bounds of a report of `@groupcast/client/doctor`: the doctor keeps them, and a reader of reports checks them. */
export const DOCTOR_LIMITS = {
  /** Events that are remembered, the newest ones. */
  events: 200,
  /** Changes of the connection that are remembered. */
  changes: 50,
  groups: 500,
  /** Runs of missing events per group. */
  missing: 50,
  nameLength: 64,
  codeLength: 64,
  messageLength: 200,
  urlLength: 300,
} as const;

const name = z.string().max(DOCTOR_LIMITS.nameLength);
const code = z.string().max(DOCTOR_LIMITS.codeLength);
const message = z.string().max(DOCTOR_LIMITS.messageLength);
const url = z.string().max(DOCTOR_LIMITS.urlLength);
const time = z.string().max(40);
const count = z.int().min(0);
const seq = z.int().min(0);

/**
 * One event of a page's connection, without its content.
 *
 * - `event`: it came, or was sent, by itself.
 * - `recovered`: it was part of an answer to a position, whose end is the next `page` of the group.
 * - `page`: the group is known up to this position.
 * - `skip`: the event at this position is not for this user. `head`: where the group stands.
 * - `left`: the membership has ended. `answer`: an acknowledgement.
 * - `api`: the SDK has it from the messaging API.
 */
export const doctorEventSchema = z.object({
  at: time,
  direction: z.enum(['in', 'out']),
  kind: z.enum(['event', 'recovered', 'page', 'skip', 'head', 'left', 'answer', 'api']),
  event: name,
  groupId: idSchema.optional(),
  id: idSchema.optional(),
  position: positionSchema.optional(),
  /** Of the packet, as text. */
  bytes: count.optional(),
  /** Code of a refusal. */
  code: code.optional(),
  /** Events of the same name and group in a row, where they have no position. */
  times: count.optional(),
  /** The place in which the SDK has handed it to the page. */
  shown: count.optional(),
});
export type DoctorEvent = z.output<typeof doctorEventSchema>;

/** `from`: where the remembered events begin. `seen`: the last position without a hole before it. `behind`: `null` where it cannot be said. */
export const doctorGroupSchema = z.object({
  groupId: idSchema,
  state: z.enum(['joined', 'undecided', 'refused', 'left', 'unknown']),
  /** Why the group is left or refused. */
  code: code.optional(),
  from: positionSchema.nullable(),
  head: positionSchema.nullable(),
  seen: positionSchema.nullable(),
  behind: count.nullable(),
  missing: boundedArray(z.tuple([seq, seq]), { max: DOCTOR_LIMITS.missing }),
  events: count,
  duplicates: count,
});
export type DoctorGroup = z.output<typeof doctorGroupSchema>;

const changeSchema = z.object({
  at: time,
  to: z.enum(['connecting', 'connected', 'upgraded', 'refused', 'lost', 'ending', 'token', 'state']),
  transport: name.optional(),
  code: code.optional(),
  message: message.optional(),
});
export type DoctorChange = z.output<typeof changeSchema>;

/** Report of one page about its connection. It has no content of messages, no token, and no user. */
export const doctorReportSchema = z.object({
  version: z.literal(1),
  at: time,
  since: time,
  /** The events that the page saw: those of its socket, or those that the SDK handed on. */
  source: z.enum(['socket', 'client']),
  page: z.object({ origin: url, online: z.boolean(), visible: z.boolean() }),
  relay: z.object({ url, transport: name.nullable(), mayUpgrade: z.boolean() }),
  connection: z.object({
    state: z.enum(['idle', 'connecting', 'connected', 'disconnected']),
    /** How long it has been so, and since the last packet, in milliseconds. */
    forMs: count,
    silentMs: count.nullable(),
    /** Longest silence that the relay's heartbeat allows, in milliseconds. */
    maxSilentMs: count,
    /** The relay has said which groups the connection is in; `late`: the doctor came after that. */
    greeted: z.boolean(),
    late: z.boolean(),
    /** The relay delivers. */
    live: z.boolean(),
    /** Why it is not connected, or was last not. */
    reason: z.object({ code, message }).nullable(),
    /** The relay's last `session-ending` on this connection. */
    ending: z.object({ code, next: name }).nullable(),
    changes: boundedArray(changeSchema, { max: DOCTOR_LIMITS.changes }),
  }),
  token: z.object({
    kind: z.enum(['jwt', 'opaque', 'none', 'unknown']),
    issuedAt: time.optional(),
    expiresAt: time.optional(),
    /** Until it expires by this computer's clock, in milliseconds. */
    leftMs: z.int().optional(),
    /** Different tokens that the page has sent. */
    sent: count,
  }),
  groups: boundedArray(doctorGroupSchema, { max: DOCTOR_LIMITS.groups }),
  /** Groups beyond the limit. */
  groupsLeftOut: count,
  events: boundedArray(doctorEventSchema, { max: DOCTOR_LIMITS.events }),
  /** Events before them. */
  eventsLeftOut: count,
  /** Whether the relay answers at all, and lets this page read the answer. */
  probe: z.object({ reachable: z.boolean(), readable: z.boolean() }).optional(),
  /** The SDK's own view. */
  client: z.object({ state: name, code: code.optional(), message: message.optional() }).optional(),
});
export type DoctorReport = z.output<typeof doctorReportSchema>;

/** `cause` and `fix` are sentences for people, `code` is for programs. */
export interface DoctorVerdict {
  ok: boolean;
  code: string;
  cause: string;
  fix: string;
}
