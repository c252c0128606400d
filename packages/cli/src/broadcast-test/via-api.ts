import { setTimeout } from 'node:timers/promises';
import { CommandFailure, type Variables } from '../command.ts';
import { fixFor } from '../refusals.ts';
import type { Settings } from '../settings.ts';
import { signConfiguredUserToken } from '../user-tokens.ts';
import { type ApiClient, createApiClient, RequestFailure } from './api-client.ts';
import { messageId, type Route } from './route.ts';

/** Members per request while the group is filled. */
const MEMBERS_AT_ONCE = 500;
/** One user may send about 100 messages a second; a faster test has more senders. */
const MESSAGES_PER_SENDER = 5_000;
const MAX_SOCKETS = 256;
const DELETE_ATTEMPTS = 5;
const DELETE_PAUSE_MS = 1_000;

/** The program at the URL is not a Groupcast API: it is a relay, or another one that has the port. */
const NOT_OURS = /^(?:NOT_FOUND|HTTP_\d+)$/;
const WITHOUT_API = 'A relay alone is tested with --via relay';

/** The failure of a step before or after the test proper, with its fix. */
function explain(error: unknown, step: string, url: string, env: Variables): unknown {
  if (!(error instanceof RequestFailure)) return error;
  if (!error.answered) {
    return new CommandFailure(
      `unable to reach the API at ${url} (${error.code}); start it with npx groupcast start, or check API_URL, API_PORT or --api-url. ${WITHOUT_API}`,
    );
  }
  const fix = NOT_OURS.test(error.code) ? WITHOUT_API : fixFor(error.code, 'user', env);
  return new CommandFailure(
    `unable to ${step}; the API at ${url} answered ${error.code}: ${error.message}${fix ? `. ${fix}` : ''}`,
  );
}

/** The string at `path` of an answer; a `CommandFailure` where the answer is no API's. */
function readText(answer: unknown, url: string, ...path: string[]): string {
  let value = answer;
  for (const key of path) value = (value as Record<string, unknown> | null | undefined)?.[key];
  if (typeof value === 'string' && value !== '') return value;
  throw new CommandFailure(
    `unable to read the answer of ${url}; it has no ${path.join('.')}. Is this the Groupcast API?`,
  );
}

async function fillGroup(api: ApiClient, token: string, groupPath: string, userIds: readonly string[]): Promise<void> {
  for (let start = 0; start < userIds.length; start += MEMBERS_AT_ONCE) {
    await api.request('POST', `${groupPath}/members`, token, {
      userIds: userIds.slice(start, start + MEMBERS_AT_ONCE),
    });
  }
}

/** An API that the test has just overloaded may need a moment: tried again while it answers at all. */
async function deleteGroup(api: ApiClient, path: string, token: string): Promise<RequestFailure | undefined> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      await api.request('DELETE', path, token);
      return undefined;
    } catch (error) {
      if (!(error instanceof RequestFailure)) throw error;
      if (error.code === 'NOT_FOUND') return undefined;
      if (attempt === DELETE_ATTEMPTS || !(error.answered || error.code === 'TIMEOUT')) return error;
    }
    await setTimeout(DELETE_PAUSE_MS);
  }
}

/**
 * Creates a group through the API with senders and receivers as members, and posts the messages as its senders would.
 * Receivers keep their user ids from run to run, so that tests do not fill the table of users; senders do not, so that
 * runs do not share a rate limit.
 */
export async function openApiRoute(options: {
  url: string;
  run: string;
  receivers: number;
  messages: number;
  rate: number;
  timeoutMs: number;
  /** How long the tokens must last. */
  ttlSeconds: number;
  relayUrl: string | undefined;
  settings: Settings;
  env: Variables;
}): Promise<Route> {
  const { url, run, env, ttlSeconds } = options;
  const sign = async (userId: string): Promise<string> =>
    (await signConfiguredUserToken(options.settings.tokens, { userId, ttlSeconds })).token;
  const api = createApiClient({ url, timeoutMs: options.timeoutMs, maxSockets: MAX_SOCKETS });
  const orExplain =
    (step: string) =>
    (error: unknown): never => {
      throw explain(error, step, url, env);
    };

  const receiverIds = Array.from({ length: options.receivers }, (_, index) => `test-broadcast:receiver-${index}`);
  const perMinute = Math.min(options.messages, options.rate * 60);
  const senderIds = Array.from(
    { length: Math.ceil(perMinute / MESSAGES_PER_SENDER) },
    (_, index) => `test-broadcast:${run}:sender-${index}`,
  );
  const senderTokens = await Promise.all(senderIds.map(sign));
  const owner = senderTokens[0] ?? '';
  let groupPath: string | undefined;

  async function close(): Promise<CommandFailure | undefined> {
    const path = groupPath;
    const failure = path === undefined ? undefined : await deleteGroup(api, path, owner);
    api.close();
    return (
      failure && new CommandFailure(`unable to delete the test group ${path}; ${failure.code}: ${failure.message}`)
    );
  }

  try {
    const memberIds = [...senderIds.slice(1), ...receiverIds];
    const group = { name: `test-broadcast ${run}`, memberIds: memberIds.slice(0, MEMBERS_AT_ONCE) };
    const created = await api
      .request('POST', '/api/messaging/groups', owner, group)
      .catch(orExplain('create the test group'));
    const groupId = readText(created, url, 'group', 'id');
    const path = `/api/messaging/groups/${encodeURIComponent(groupId)}`;
    groupPath = path;
    await fillGroup(api, owner, path, memberIds.slice(MEMBERS_AT_ONCE)).catch(orExplain('fill the test group'));

    return {
      run,
      groupId,
      receiverSecret: 'connection',
      async admit(index) {
        const userToken = await sign(receiverIds[index] ?? '');
        const answer = await api
          .request('POST', '/api/realtime/token', userToken, {})
          .catch(orExplain('get a connection token'));
        const relayUrl = options.relayUrl ?? readText(answer, url, 'relayUrl');
        return { token: readText(answer, url, 'token'), relayUrl };
      },
      ready: async () => undefined,
      async send(index) {
        const message = { content: `test message ${index}`, clientMessageId: messageId(run, index) };
        await api.request('POST', `${path}/messages`, senderTokens[index % senderTokens.length] ?? '', message);
      },
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}
