import { warnOnceEvery } from '@groupcast/service-kit';
import {
  type ClientEvent,
  type ClientEventAnswer,
  type ConnectAnswer,
  type ConnectQuery,
  type CursorsAnswer,
  type CursorUpdates,
  clientEventAnswerSchema,
  connectAnswerSchema,
  cursorsAnswerSchema,
  GroupcastError,
  type GroupsQuery,
  groupsAnswerSchema,
  type HistoryFillAnswer,
  type HistoryFillQuery,
  historyFillAnswerSchema,
  INTERNAL_LIMITS,
  type MembershipQuery,
  membershipAnswerSchema,
  parseId,
  type SeenUsers,
} from '@groupcast/shared';
import { z } from 'zod';
import { type CallName, type CallWitnesses, createCalls, isNotOffered } from './calls.ts';
import { refusalOfConnect } from './connect-refusal.ts';
import { createRequestBatcher } from './request-batcher.ts';
import { CallFailure, createTransport } from './transport.ts';

/**
 * Asks the API on behalf of the relay. It never forwards a user's token: it names the user, with a token of its own. Questions that come
 * together travel together. Every call throws `API_UNAVAILABLE` (retryable): after 3 s, if the answer cannot be used, and at once, with
 * `retryAfterMs`, while the API does not answer or too many calls wait for it.
 */
export interface ApiClient {
  /** Returns those of `groupIds` that the user is a member of; `undefined` where the back end offers neither this question nor that of `groupsOf`. */
  memberOf(userId: string, groupIds: readonly string[]): Promise<Set<string> | undefined>;
  /** Returns the groups that the user is in, those that were active last first; `undefined` where the back end does not offer to say it. */
  groupsOf(userId: string): Promise<readonly string[] | undefined>;
  /** Returns the newest events of a group that a relay has accepted; `position` is `null` for a group that the API does not know. */
  history(groupId: string): Promise<HistoryFillAnswer['groups'][number]>;
  /** Returns what the API says about the groups, which may be nothing. */
  storeCursors(updates: CursorUpdates): Promise<CursorsAnswer>;
  /** Says that these users are connected, or were a moment ago. */
  storeSeen(seen: SeenUsers): Promise<void>;
  /** Asks for a user's event to be carried out, and returns the acknowledgement. */
  sendEvent(event: ClientEvent): Promise<ClientEventAnswer>;
  /**
   * Asks who it is that connects. `key`: the address, or whatever else calls are shared out by. Throws a refusal of the back end with a code
   * of ours and its text, which is not retryable.
   */
  connect(query: ConnectQuery, key: string): Promise<ConnectAnswer>;
  /** Whether the API has not answered lately. */
  isFailing(): boolean;
  stop(): void;
}

/** Largest answer, in bytes. The events of ten groups come to 40 MiB if each fills a log of `HISTORY_BYTES`. */
const MAX_ANSWER_BYTES = 64 * 1_024 * 1_024;
/** Bytes that the acknowledgement of an event may have beside the largest message. */
const EVENT_OVERHEAD_BYTES = 65_536;
/** Largest answer about one who connects: room for the ids of all groups. */
const MAX_CONNECT_BYTES = 2 * 1_024 * 1_024;
const MAX_GROUPS_PER_USER = 1_000;
/** How long questions after the first are gathered, in milliseconds. */
const STORM_INTERVAL_MS = 250;
/** Most users in one question, and most groups of all of them together. */
const MEMBERSHIP_LIMITS = {
  maxItems: 100,
  maxWeight: 5_000,
  weigh: (user: MembershipQuery['users'][number]) => user.groupIds.length,
  intervalMs: STORM_INTERVAL_MS,
  // A relay has about as many connections, and one user may have 1,000 of them.
  maxAsked: 20_000,
  maxAskedPerKey: 2_000,
  keyOf: (user: MembershipQuery['users'][number]) => user.userId,
};
const GROUPS_LIMITS = {
  maxItems: INTERNAL_LIMITS.users,
  maxWeight: INTERNAL_LIMITS.users,
  weigh: () => 1,
  intervalMs: STORM_INTERVAL_MS,
  maxAsked: MEMBERSHIP_LIMITS.maxAsked,
  maxAskedPerKey: MEMBERSHIP_LIMITS.maxAskedPerKey,
  keyOf: (userId: string) => userId,
};
const FILL_LIMITS = {
  maxItems: 10,
  maxWeight: 10,
  weigh: () => 1,
  intervalMs: STORM_INTERVAL_MS,
  maxAsked: 10_000,
  maxAskedPerKey: 10,
  keyOf: (groupId: string) => groupId,
};

async function unlessNotOffered<T>(work: () => Promise<T>): Promise<T | undefined> {
  try {
    return await work();
  } catch (error) {
    if (isNotOffered(error)) return undefined;
    throw error;
  }
}

export interface ApiClientOptions {
  apiUrl: string;
  secret: string;
  /** Most events of one group in its history. */
  fillEvents: number;
  maxPayloadBytes: number;
}

export function createApiClient(
  deps: CallWitnesses,
  { apiUrl, secret, fillEvents, maxPayloadBytes }: ApiClientOptions,
): ApiClient {
  const calls = createCalls({ ...deps, transport: createTransport({ apiUrl, secret }) });
  const warn = warnOnceEvery(60_000);
  const maxEventBytes = maxPayloadBytes + EVENT_OVERHEAD_BYTES;

  async function ask<S extends z.ZodType>(name: CallName, body: unknown, schema: S): Promise<z.output<S>> {
    return calls.ask(name, { userId: '', body, schema, maxAnswerBytes: MAX_ANSWER_BYTES });
  }

  function assertCount(results: readonly unknown[], questions: readonly unknown[]): void {
    if (results.length === questions.length) return;
    throw new GroupcastError('API_UNAVAILABLE', 'unable to ask the API; its answer is incomplete');
  }

  const askMemberships = createRequestBatcher(
    MEMBERSHIP_LIMITS,
    async (users: readonly MembershipQuery['users'][number][]) => {
      const answer = await ask('memberships', { users }, membershipAnswerSchema);
      assertCount(answer.users, users);
      return answer.users;
    },
  );
  const askHistory = createRequestBatcher(FILL_LIMITS, async (groups: readonly string[]) => {
    const query: HistoryFillQuery = { groups: [...groups], limit: fillEvents };
    const answer = await ask('history', query, historyFillAnswerSchema);
    assertCount(answer.groups, groups);
    return answer.groups;
  });

  const askGroups = createRequestBatcher(GROUPS_LIMITS, async (userIds: readonly string[]) => {
    const query: GroupsQuery = { userIds: [...userIds] };
    const answer = await ask('groups', query, groupsAnswerSchema);
    assertCount(answer.users, userIds);
    return answer.users;
  });

  function readGroups(userId: string, named: readonly unknown[]): string[] {
    const ids = named.flatMap((each) => parseId(each) ?? []);
    if (ids.length < named.length) {
      warn('invalid groups', (suppressed) => {
        const message = 'the back end names groups of a user that are no ids: they are left out';
        deps.log.warn({ userId, leftOut: named.length - ids.length, suppressed }, message);
      });
    }
    return [...new Set(ids)];
  }

  async function groupsOf(userId: string): Promise<readonly string[] | undefined> {
    return unlessNotOffered(async () => {
      const { groupIds } = await askGroups(userId);
      return readGroups(userId, groupIds);
    });
  }

  async function confirmed(userId: string, groupIds: readonly string[]): Promise<Set<string>> {
    const found = new Set<string>();
    for (let from = 0; from < groupIds.length; from += MAX_GROUPS_PER_USER) {
      const answer = await askMemberships({ userId, groupIds: groupIds.slice(from, from + MAX_GROUPS_PER_USER) });
      for (const id of answer.groupIds) found.add(id);
    }
    return found;
  }

  return {
    async memberOf(userId, groupIds) {
      const found = await unlessNotOffered(async () => confirmed(userId, groupIds));
      if (found) return found;
      // A back end may say it all at once only.
      const all = await groupsOf(userId);
      if (!all) return undefined;
      const known = new Set(all);
      return new Set(groupIds.filter((groupId) => known.has(groupId)));
    },
    groupsOf,
    history: askHistory,
    storeCursors: async (updates) => ask('cursors', updates, cursorsAnswerSchema),
    async storeSeen(seen) {
      await ask('presence', seen, z.object({}));
    },
    sendEvent: async (event) =>
      calls.ask('events', {
        userId: event.userId,
        body: event,
        schema: clientEventAnswerSchema,
        maxAnswerBytes: maxEventBytes,
      }),
    async connect(query, key) {
      const asked = { userId: key, body: query, schema: connectAnswerSchema, maxAnswerBytes: MAX_CONNECT_BYTES };
      try {
        return await calls.ask('connect', { ...asked, mayRefuse: true });
      } catch (error) {
        throw error instanceof CallFailure ? refusalOfConnect(error.answer) : error;
      }
    },
    isFailing: () => calls.isFailing(),
    stop: () => calls.stop(),
  };
}
