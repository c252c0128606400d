import { isJson, type JsonValue } from '@groupcast/shared';
import { z } from 'zod';
import { isFields } from './compiling.ts';

/** Most commands, events and routes of one dialect, and most things that one event becomes. */
const MAX_NAMES = 256;
const MAX_RULES = 8;
const MAX_ROUTES = 32;
const MAX_DEFINITIONS = 64;
/** Most values of which a field may have one. */
const MAX_VALUES = 64;
/** Longest name of an event in a file: it may have `{field}` in it. */
const MAX_EVENT_LENGTH = 200;

const template = z.custom<JsonValue>((value) => value !== undefined && isJson(value), {
  error: 'must be JSON, nested at most 64 deep',
});
const nameSchema = z.string().regex(/^[a-z][a-z0-9-]{0,63}$/, {
  error: 'must be 1 to 64 lower case letters, digits and hyphens, and begin with a letter',
});
const eventName = z.string().min(1).max(MAX_EVENT_LENGTH);

function recordOf<Value extends z.ZodType>(value: Value, max: number) {
  // A record leaves `__proto__` out and says nothing.
  return z
    .any()
    .refine((entries) => !isFields(entries) || !Object.hasOwn(entries, '__proto__'), {
      error: '"__proto__" is no name',
    })
    .pipe(
      z
        .record(z.string().min(1).max(MAX_EVENT_LENGTH), value)
        .refine((entries) => Object.keys(entries).length <= max, { error: `must have at most ${max} entries` }),
    );
}

const scalar = z.union([z.string(), z.number(), z.boolean(), z.null()]);
const scalars = z.union([scalar, z.array(scalar).max(MAX_VALUES)], {
  error: `must be a text, a number, true, false or null, or a list of at most ${MAX_VALUES} of them`,
});

/** Says one event, as `event`, in the way of `payload`. */
export const sayingSchema = z.strictObject({
  /** The native name if it is left out. */
  event: eventName.optional(),
  payload: template.optional(),
});

export const eventRuleSchema = z.strictObject({
  ...sayingSchema.shape,
  /** Connections that have the group on screen (`open-group`), or the others; all of them if it is left out. */
  to: z.enum(['members', 'viewing', 'not-viewing']).optional(),
  /** Leaves out the connection that has sent the message, or all of its sender's where that is not known. */
  except: z.enum(['sender']).optional(),
  /** A user id or a list of them: nobody else is told. */
  only: template.optional(),
  /** Only where each of these fields has this value, or one of these. */
  when: recordOf(scalars, MAX_RULES).optional(),
});

export const commandRuleSchema = z.strictObject({
  /** The same name if it is left out. */
  command: z.string().optional(),
  with: template.optional(),
  /** Replaces the dialect's own. */
  acknowledgement: template.optional(),
  /** Events that the connection is told once the command was carried out. */
  answer: z.union([sayingSchema, z.array(sayingSchema).max(MAX_RULES)]).optional(),
});

export const httpRouteSchema = z.strictObject({
  method: z.enum(['GET', 'POST', 'PUT', 'PATCH', 'DELETE']),
  path: z
    .string()
    .max(200)
    .regex(/^(?:\/(?:(?!\.\.?(?:\/|$))[A-Za-z0-9_.~-]+|:[A-Za-z][A-Za-z0-9]*))+$/, {
      error: 'must be a path such as "/chats/:chatId/messages", with a whole segment as each parameter',
    }),
  command: z.string(),
  with: template,
  status: z.int().min(200).max(299).optional(),
  answer: template,
});

export const acknowledgementSchema = z.strictObject({ success: template.optional(), failure: template.optional() });

/** The form of a dialect's file. */
export const dialectFileSchema = z.strictObject({
  name: nameSchema,
  description: z.string().max(1_000).optional(),
  /** The word for a group in the relay's log. */
  noun: z
    .string()
    .regex(/^[a-z][a-z ]{0,31}$/, { error: 'must be 1-32 lower case letters' })
    .optional(),
  /** Has all of that dialect's commands and events that it does not replace. */
  extends: z.string().optional(),
  /**
   * Groups that a connection is in at once: those of its token, or where that names none those that the back end knows, or none until it
   * asks.
   */
  groups: z.enum(['token', 'back-end', 'none']).optional(),
  /**
   * Whether clients get back what they have missed, by Socket.IO's connection state recovery: their listeners get one more argument, with which
   * `socket.io-client` comes back by itself.
   */
  connectionStateRecovery: z.boolean().optional(),
  definitions: recordOf(template, MAX_DEFINITIONS).optional(),
  /** Events of clients, by their names. */
  commands: recordOf(commandRuleSchema, MAX_NAMES).optional(),
  /** Events to clients, by their native names or those of publishers. `*` stands for all others; `[]` says nothing. */
  events: recordOf(z.union([eventRuleSchema, z.array(eventRuleSchema).max(MAX_RULES)]), MAX_NAMES).optional(),
  /** Acknowledgements, of what was carried out and of what was refused. */
  acknowledgement: acknowledgementSchema.optional(),
  /** The event that says why a command was refused, to a client that asked for no acknowledgement. */
  refusal: sayingSchema.optional(),
  /** Routes that the API serves. */
  http: z.array(httpRouteSchema).max(MAX_ROUTES).optional(),
  /** The body of an answer that refuses. */
  httpError: template.optional(),
});

export type DialectFile = z.output<typeof dialectFileSchema>;
export type EventRule = z.output<typeof eventRuleSchema>;
export type CommandRule = z.output<typeof commandRuleSchema>;
export type SayingRule = z.output<typeof sayingSchema>;
export type HttpRouteRule = z.output<typeof httpRouteSchema>;
