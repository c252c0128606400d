import type { z } from 'zod';
import { boundIssues } from './bounds.ts';
import { COMMAND_ENDPOINTS } from './command-endpoints.ts';
import { GroupcastError } from './errors.ts';
import { explainIssue } from './near-misses.ts';
import { nearestText } from './nearest-name.ts';
import {
  batchSchema,
  broadcastSchema,
  disconnectSchema,
  membersSchema,
  notifySchema,
  removeMembersSchema,
  storedCursorsSchema,
} from './payloads/broadcast.ts';
import type { Position } from './positions.ts';

type Parsed<S extends z.ZodType> = z.output<S>;

/** A parsed broadcast: ids are strings, `epoch` and `seq` are one position. */
export interface BroadcastCommand extends Omit<Parsed<typeof broadcastSchema>, 'epoch' | 'seq'> {
  kind: 'broadcast';
  position?: Position;
  /** Names of fields that it came with, and that nobody reads. */
  unread?: string[];
}

/** A parsed command of a trusted back end to the relay. */
export type RelayCommand =
  | BroadcastCommand
  | { kind: 'batch'; items: unknown[] }
  | ({ kind: 'notify' } & Parsed<typeof notifySchema>)
  | { kind: 'add-members' | 'remove-members'; groupId: string; userIds: string[]; position?: Position }
  | { kind: 'remove-everyone'; groupId: string; position?: Position }
  | ({ kind: 'update-cursors' } & Parsed<typeof storedCursorsSchema>)
  | ({ kind: 'disconnect-users' } & Parsed<typeof disconnectSchema>);

/** The commands that have to hold on every relay, and not only now. */
export type MemberChange = Extract<
  RelayCommand,
  { kind: 'add-members' | 'remove-members' | 'remove-everyone' | 'disconnect-users' }
>;

/** The commands with an event and a path of their own; `remove-everyone` comes as a `remove-members`. */
export type RelayCommandKind = Exclude<RelayCommand['kind'], 'remove-everyone'>;

/** Parses `input`, or throws `INVALID_PAYLOAD` naming the first wrong fields. */
export function parsePayload<S extends z.ZodType>(schema: S, input: unknown, what: string): z.output<S> {
  const result = schema.safeParse(input);
  if (result.success) return result.data;
  const details = boundIssues(
    result.error.issues,
    ({ path }) => path.map(String).join('.'),
    (issue) => explainIssue(issue, input),
  );
  const first = details.issues[0];
  const where = first?.path ? `${first.path} ` : '';
  throw new GroupcastError('INVALID_PAYLOAD', `unable to accept ${what}; ${where}${first?.message ?? 'is malformed'}`, {
    details: { ...details },
  });
}

function toPosition(given: { epoch?: string | undefined; seq?: number | undefined }): { position?: Position } {
  const { epoch, seq } = given;
  return epoch !== undefined && seq !== undefined ? { position: { epoch, seq } } : {};
}

const BROADCAST_FIELDS: ReadonlySet<string> = new Set(Object.keys(broadcastSchema.shape));
/** Most fields that are named because nobody reads them, and the longest name. */
const MAX_UNREAD = 5;
const MAX_NAME = 64;
/** Longest name for which a known one is looked for, and most names of which that is remembered: a publisher says the same ones each time. */
const MAX_NEAR_NAME = 20;
const MAX_REMEMBERED = 200;
const remembered = new Map<string, string>();

/** The name, with the field that may be meant. */
function withNearField(name: string): string {
  if (name.length > MAX_NEAR_NAME) return name.slice(0, MAX_NAME);
  const known = remembered.get(name);
  if (known !== undefined) return known;
  const near = nearestText(name, BROADCAST_FIELDS);
  const shown = near === undefined ? name : `${name} (${near}?)`;
  if (remembered.size >= MAX_REMEMBERED) remembered.clear();
  remembered.set(name, shown);
  return shown;
}

function unreadFields(input: object): string[] {
  const names = Object.keys(input).filter((name) => !BROADCAST_FIELDS.has(name));
  return names.slice(0, MAX_UNREAD).map(withNearField);
}

export function parseBroadcast(input: unknown): BroadcastCommand {
  const { epoch, seq, ...rest } = parsePayload(broadcastSchema, input, COMMAND_ENDPOINTS.broadcast.event);
  const unread = unreadFields(input as object);
  return { kind: 'broadcast', ...rest, ...toPosition({ epoch, seq }), ...(unread.length > 0 ? { unread } : {}) };
}

/** Parses a command that came over a socket or HTTP. */
export function parseRelayCommand(kind: RelayCommandKind, input: unknown): RelayCommand {
  const what = COMMAND_ENDPOINTS[kind].event;
  switch (kind) {
    case 'broadcast':
      return parseBroadcast(input);
    case 'batch':
      return { kind, ...parsePayload(batchSchema, input, what) };
    case 'notify':
      return { kind, ...parsePayload(notifySchema, input, what) };
    case 'add-members': {
      const { groupId, userIds, ...rest } = parsePayload(membersSchema, input, what);
      return { kind, groupId, userIds, ...toPosition(rest) };
    }
    case 'remove-members': {
      const { groupId, userIds, everyone: _, ...rest } = parsePayload(removeMembersSchema, input, what);
      const position = toPosition(rest);
      return userIds ? { kind, groupId, userIds, ...position } : { kind: 'remove-everyone', groupId, ...position };
    }
    case 'update-cursors':
      return { kind, ...parsePayload(storedCursorsSchema, input, what) };
    case 'disconnect-users':
      return { kind, ...parsePayload(disconnectSchema, input, what) };
    default: {
      const unreachable: never = kind;
      return unreachable;
    }
  }
}
