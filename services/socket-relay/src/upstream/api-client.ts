import {
  AUDIENCE,
  type CursorsAnswer,
  type CursorUpdates,
  cursorsAnswerSchema,
  GroupcastError,
  type HistoryFillAnswer,
  type HistoryFillQuery,
  historyFillAnswerSchema,
  type MembershipQuery,
  membershipAnswerSchema,
} from '@groupcast/shared';
import { BodyTooLarge, readBytes } from '@groupcast/shared/bounded-body';
import { signServiceToken } from '@groupcast/tokens';
import type { z } from 'zod';
import { createRequestBatcher } from './request-batcher.ts';

/**
 * Asks the API on behalf of the relay. It never forwards a user's token: it names the user, with a token of its own. Questions that come
 * together travel together. Every call throws `API_UNAVAILABLE` (retryable) after 3 s, or if the answer cannot be used.
 */
export interface ApiClient {
  /** Returns those of `groupIds` that the user is a member of. */
  memberOf(userId: string, groupIds: readonly string[]): Promise<Set<string>>;
  /** Returns the newest events of a group that a relay has accepted; `position` is `null` for a group that the API does not know. */
  history(groupId: string): Promise<HistoryFillAnswer['groups'][number]>;
  /** Returns what the API says about the groups, which may be nothing. */
  storeCursors(updates: CursorUpdates): Promise<CursorsAnswer>;
}

/** How long an answer may take, from the question to its last byte, in milliseconds. */
const TIMEOUT_MS = 3_000;
/** Bytes that are read of a refusal. */
const MAX_REFUSAL_BYTES = 4_096;
/** Largest answer, in bytes. The events of ten groups come to 40 MiB if each fills a log of `HISTORY_BYTES`. */
const MAX_ANSWER_BYTES = 64 * 1_024 * 1_024;
const TOKEN_TTL_SECONDS = 60;
const MAX_GROUPS_PER_USER = 1_000;
/** How long questions after the first are gathered, in milliseconds. */
const STORM_INTERVAL_MS = 250;
/** Most users in one question, and most groups of all of them together. */
const MEMBERSHIP_LIMITS = {
  maxItems: 100,
  maxWeight: 5_000,
  weigh: (user: MembershipQuery['users'][number]) => user.groupIds.length,
  intervalMs: STORM_INTERVAL_MS,
};
const FILL_LIMITS = { maxItems: 10, maxWeight: 10, weigh: () => 1, intervalMs: STORM_INTERVAL_MS };

const utf8 = new TextDecoder();

class UnusableAnswer extends Error {}

/** Users read this text: a text that is not the relay's own may name `API_URL`, with a password in it. */
function reasonOf(error: unknown): string {
  if (error instanceof UnusableAnswer || error instanceof BodyTooLarge) return error.message;
  if (error instanceof SyntaxError) return 'its answer is not JSON';
  if (error instanceof Error && error.name === 'TimeoutError') return `no answer in ${TIMEOUT_MS} ms`;
  return 'it cannot be reached';
}

/** The API's reason for a refusal (a clock, a secret), for the log and not for users. */
async function readRefusal(response: Response): Promise<Error | undefined> {
  const text = utf8.decode(await readBytes(response.body, MAX_REFUSAL_BYTES).catch(() => new Uint8Array()));
  try {
    const { error } = JSON.parse(text) as { error?: { message?: unknown } };
    return typeof error?.message === 'string' ? new Error(error.message) : undefined;
  } catch {
    return undefined;
  }
}

export function createApiClient(options: { apiUrl: string; secret: string; fillEvents: number }): ApiClient {
  /** By a clock that only goes forward: a token that was signed before the wall clock was set back is not kept until it is that late again. */
  let token: { value: string; goodUntil: number } | undefined;

  async function serviceToken(): Promise<string> {
    if (!token || token.goodUntil < performance.now()) {
      const value = await signServiceToken({
        secret: options.secret,
        scopes: ['relay'],
        subject: 'socket-relay',
        audience: AUDIENCE.api,
        ttlSeconds: TOKEN_TTL_SECONDS,
      });
      token = { value, goodUntil: performance.now() + (TOKEN_TTL_SECONDS - 15) * 1_000 };
    }
    return token.value;
  }

  async function post(path: string, body: unknown): Promise<unknown> {
    try {
      const response = await fetch(`${options.apiUrl}${path}`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', authorization: `Bearer ${await serviceToken()}` },
        body: JSON.stringify(body),
        // The token and the question are for the API that was configured, and for no address that it names.
        redirect: 'manual',
        signal: AbortSignal.timeout(TIMEOUT_MS),
      });
      if (!response.ok)
        throw new UnusableAnswer(`it answered ${response.status}`, { cause: await readRefusal(response) });
      return JSON.parse(utf8.decode(await readBytes(response.body, MAX_ANSWER_BYTES)));
    } catch (error) {
      throw new GroupcastError('API_UNAVAILABLE', `unable to ask the API; ${reasonOf(error)}`, { cause: error });
    }
  }

  async function ask<S extends z.ZodType>(path: string, body: unknown, schema: S): Promise<z.output<S>> {
    const answer = schema.safeParse(await post(path, body));
    if (answer.success) return answer.data;
    throw new GroupcastError('API_UNAVAILABLE', 'unable to ask the API; its answer is malformed', {
      cause: answer.error,
    });
  }

  function assertCount(results: readonly unknown[], questions: readonly unknown[]): void {
    if (results.length === questions.length) return;
    throw new GroupcastError('API_UNAVAILABLE', 'unable to ask the API; its answer is incomplete');
  }

  const askMemberships = createRequestBatcher(
    MEMBERSHIP_LIMITS,
    async (users: readonly MembershipQuery['users'][number][]) => {
      const answer = await ask('/internal/memberships', { users }, membershipAnswerSchema);
      assertCount(answer.users, users);
      return answer.users;
    },
  );
  const askHistory = createRequestBatcher(FILL_LIMITS, async (groups: readonly string[]) => {
    const query: HistoryFillQuery = { groups: [...groups], limit: options.fillEvents };
    const answer = await ask('/internal/history', query, historyFillAnswerSchema);
    assertCount(answer.groups, groups);
    return answer.groups;
  });

  return {
    async memberOf(userId, groupIds) {
      const found = new Set<string>();
      for (let from = 0; from < groupIds.length; from += MAX_GROUPS_PER_USER) {
        const answer = await askMemberships({ userId, groupIds: groupIds.slice(from, from + MAX_GROUPS_PER_USER) });
        for (const id of answer.groupIds) found.add(id);
      }
      return found;
    },
    history: askHistory,
    storeCursors: async (updates) => ask('/internal/cursors', updates, cursorsAnswerSchema),
  };
}
