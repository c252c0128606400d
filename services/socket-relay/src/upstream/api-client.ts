import { AUDIENCE, GroupcastError, type MembershipQuery, membershipAnswerSchema } from '@groupcast/shared';
import { signServiceToken } from '@groupcast/tokens';

/** What the relay asks of the API. It never forwards a user's token: it names the user, with a token of its own. */
export interface ApiClient {
  /**
   * Which of `groupIds` the user is a member of. Questions asked together travel together. Throws `API_UNAVAILABLE`
   * (retryable) after 3 s, or when the API's answer cannot be used.
   */
  memberOf(userId: string, groupIds: readonly string[]): Promise<Set<string>>;
}

const TIMEOUT_MS = 3_000;
const TOKEN_TTL_SECONDS = 60;
const MAX_USERS_PER_REQUEST = 100;
const MAX_GROUPS_PER_USER = 1_000;

interface Question {
  userId: string;
  groupIds: readonly string[];
  resolve: (groups: Set<string>) => void;
  reject: (error: GroupcastError) => void;
}

export function createApiClient(options: { apiUrl: string; secret: string }): ApiClient {
  let token: { value: string; goodUntil: number } | undefined;
  let waiting: Question[] = [];

  async function serviceToken(): Promise<string> {
    if (!token || token.goodUntil < Date.now()) {
      const value = await signServiceToken({
        secret: options.secret,
        scopes: ['relay'],
        subject: 'socket-relay',
        audience: AUDIENCE.api,
        ttlSeconds: TOKEN_TTL_SECONDS,
      });
      token = { value, goodUntil: Date.now() + (TOKEN_TTL_SECONDS - 15) * 1_000 };
    }
    return token.value;
  }

  async function post(path: string, body: unknown): Promise<unknown> {
    try {
      const response = await fetch(`${options.apiUrl}${path}`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', authorization: `Bearer ${await serviceToken()}` },
        body: JSON.stringify(body),
        signal: AbortSignal.timeout(TIMEOUT_MS),
      });
      if (!response.ok) {
        await response.body?.cancel();
        throw new Error(`the API answered ${response.status}`);
      }
      return await response.json();
    } catch (error) {
      const why =
        error instanceof Error && error.name === 'TimeoutError' ? `no answer in ${TIMEOUT_MS} ms` : String(error);
      throw new GroupcastError('API_UNAVAILABLE', `unable to ask the API; ${why}`, { cause: error });
    }
  }

  async function ask(questions: readonly Question[]): Promise<void> {
    try {
      const query: MembershipQuery = {
        users: questions.map(({ userId, groupIds }) => ({ userId, groupIds: [...groupIds] })),
      };
      const answer = membershipAnswerSchema.safeParse(await post('/internal/memberships', query));
      if (!answer.success || answer.data.users.length !== questions.length) {
        throw new GroupcastError('API_UNAVAILABLE', 'unable to ask the API; its answer is malformed');
      }
      for (const [index, question] of questions.entries())
        question.resolve(new Set(answer.data.users[index]?.groupIds));
    } catch (error) {
      const failure =
        error instanceof GroupcastError
          ? error
          : new GroupcastError('API_UNAVAILABLE', 'unable to ask the API', { cause: error });
      for (const question of questions) question.reject(failure);
    }
  }

  function flush(): void {
    const questions = waiting;
    waiting = [];
    for (let from = 0; from < questions.length; from += MAX_USERS_PER_REQUEST) {
      void ask(questions.slice(from, from + MAX_USERS_PER_REQUEST));
    }
  }

  async function askOne(userId: string, groupIds: readonly string[]): Promise<Set<string>> {
    return new Promise((resolve, reject) => {
      // What is asked in one turn of the event loop (a storm of reconnects) becomes one request.
      if (waiting.length === 0) setImmediate(flush);
      waiting.push({ userId, groupIds, resolve, reject });
    });
  }

  return {
    async memberOf(userId, groupIds) {
      const found = new Set<string>();
      for (let from = 0; from < groupIds.length; from += MAX_GROUPS_PER_USER) {
        for (const id of await askOne(userId, groupIds.slice(from, from + MAX_GROUPS_PER_USER))) found.add(id);
      }
      return found;
    },
  };
}
