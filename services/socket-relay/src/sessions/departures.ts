import type { AbsentState } from '@groupcast/shared';
import type { InGroup } from './in-group.ts';

/** The last that is known of a user who is not here, or not in a group. `at`: milliseconds since the Unix epoch. */
export interface Departure {
  at: number;
  state: Extract<AbsentState, 'offline' | 'token-expired' | 'refused' | 'slow-consumer'>;
  code?: string;
  why: string;
  socketId?: string;
  /** Some of the groups that it was in, and since which delivery. */
  groups: ReadonlyMap<string, number>;
  /** The number of the last delivery that its client had read. */
  provenUpTo: number;
}

/** Connections that were refused before it was known whose they were. */
export interface Refusals {
  code: string;
  message: string;
  count: number;
  at: number;
}

/** Remembers why users are not here. It is bounded: of the many who have gone it knows the last. */
export interface Departures {
  /** A connection of the user is gone. `code`: why this relay ended it; `reason`: of Socket.IO. */
  left(
    userId: string,
    gone: {
      code: string | undefined;
      reason: string;
      socketId: string;
      groups: Iterable<readonly [groupId: string, place: InGroup]>;
      provenUpTo: number;
    },
  ): void;
  /** A connection of the user was refused, or one of a user who has a token that is not valid any more. */
  refused(userId: string, refusal: { code: string; message: string }): void;
  refusedUnknown(refusal: { code: string; message: string | (() => string) }): void;
  /** The user was not let into the group. */
  keptOut(userId: string, groupId: string, refusal: { code: string; message: string }): void;
  /** The user is in the group. */
  letIn(userId: string, groupId: string): void;
  of(userId: string): Departure | undefined;
  keptOutOf(userId: string, groupId: string): { code: string; message: string; at: number } | undefined;
  /** Users who were in the group when they went, as far as is known. */
  fromGroup(groupId: string): string[];
  /** Refusals of the last ten minutes, the newest first. */
  unknown(): Refusals[];
}

const MAX_USERS = 10_000;
const MAX_GROUPS = 50;
const MAX_KEPT_OUT = 10_000;
/** Kinds of refusals before anybody is known. Codes are ours; there are few. */
const MAX_CODES = 32;
const RECENT_MS = 600_000;

const STATES: Readonly<Record<string, Departure['state']>> = {
  TOKEN_EXPIRED: 'token-expired',
  SLOW_CONSUMER: 'slow-consumer',
};

const OF_REASON: Readonly<Record<string, string>> = {
  'ping timeout': 'its client did not answer a ping: the page was frozen, or the network was gone',
  'transport close': 'its connection was closed from the other side: the page was left, or the network was gone',
  'transport error': 'its connection failed',
  'client namespace disconnect': 'its page has disconnected',
  'server shutting down': 'the relay was stopped, and it has not come back',
};

function whyEnded(code: string): string {
  switch (code) {
    case 'TOKEN_EXPIRED':
      return 'its token has expired, and the page has not come back with a new one';
    case 'SLOW_CONSUMER':
      return 'it was cut because it did not read what was written to it';
    case 'SERVER_DRAINING':
      return 'the relay was drained, and it has not come back';
    default:
      return `its session was ended: ${code}`;
  }
}

function firstOf(groups: Iterable<readonly [string, InGroup]>): Map<string, number> {
  const first = new Map<string, number>();
  for (const [groupId, { since }] of groups) {
    if (first.size === MAX_GROUPS) break;
    first.set(groupId, since);
  }
  return first;
}

/** Keeps the newest entries of a map. */
function put<Value>(map: Map<string, Value>, key: string, value: Value, max: number): void {
  map.delete(key);
  map.set(key, value);
  if (map.size <= max) return;
  const [oldest] = map.keys();
  if (oldest !== undefined) map.delete(oldest);
}

export function createDepartures(now: () => number = Date.now): Departures {
  const users = new Map<string, Departure>();
  const keptOut = new Map<string, { code: string; message: string; at: number }>();
  const unknown = new Map<string, Omit<Refusals, 'message'> & { message: string | (() => string) }>();
  const pairOf = (userId: string, groupId: string): string => `${groupId}\n${userId}`;

  return {
    left(userId, { code, reason, socketId, groups, provenUpTo }) {
      const isRefusal = code !== undefined && !STATES[code] && code !== 'SERVER_DRAINING';
      const departure: Departure = {
        at: now(),
        state: (code === undefined ? undefined : STATES[code]) ?? (isRefusal ? 'refused' : 'offline'),
        ...(code === undefined ? {} : { code }),
        why: code === undefined ? (OF_REASON[reason] ?? `its connection ended: ${reason}`) : whyEnded(code),
        socketId,
        groups: firstOf(groups),
        provenUpTo,
      };
      put(users, userId, departure, MAX_USERS);
    },
    refused(userId, { code, message }) {
      const { groups = new Map<string, number>(), provenUpTo = 0 } = users.get(userId) ?? {};
      const state = STATES[code] ?? 'refused';
      put(
        users,
        userId,
        { at: now(), state, code, why: `its connection was refused: ${message}`, groups, provenUpTo },
        MAX_USERS,
      );
    },
    refusedUnknown({ code, message }) {
      const known = unknown.get(code);
      const count = known && now() - known.at < RECENT_MS ? known.count + 1 : 1;
      put(unknown, code, { code, message, count, at: now() }, MAX_CODES);
    },
    keptOut(userId, groupId, { code, message }) {
      put(keptOut, pairOf(userId, groupId), { code, message, at: now() }, MAX_KEPT_OUT);
    },
    letIn: (userId, groupId) => void keptOut.delete(pairOf(userId, groupId)),
    of: (userId) => users.get(userId),
    keptOutOf: (userId, groupId) => keptOut.get(pairOf(userId, groupId)),
    fromGroup(groupId) {
      return [...users].filter(([, { groups }]) => groups.has(groupId)).map(([userId]) => userId);
    },
    unknown() {
      const recent = [...unknown.values()].filter(({ at }) => now() - at < RECENT_MS);
      return recent.toReversed().map(({ message, ...refusals }) => {
        return { ...refusals, message: typeof message === 'string' ? message : message() };
      });
    },
  };
}
