import type {
  Group,
  GroupSummary,
  JsonObject,
  JsonObjectInput,
  Message,
  OwnUser,
  Position,
  User,
} from '@groupcast/shared';
import { readBytes } from '@groupcast/shared/bounded-body';
import { parsePosition } from '@groupcast/shared/positions';
import {
  type Fields,
  fieldsOf,
  idOf,
  parseEvent,
  parseGroup,
  parseList,
  parseMessage,
  parseUserId,
} from '../base/parse.ts';
import type { Clock } from '../environment.ts';
import { ClientError, fromBody, unreachable } from '../errors.ts';
import type { Answer } from '../inbox/catch-up.ts';
import {
  groupOf,
  type IceServer,
  type MembersPage,
  membersOf,
  messageOf,
  ownUserOf,
  parseIceServer,
  parseUser,
  type ReceiptsPage,
  receiptsOf,
  unreadable,
} from './answers.ts';
import type { UserTokens } from './user-token.ts';

/** `1` and `"1"` are the same group; the ids that come back are strings. */
export type GroupId = string | number;
export type UserId = string | number;

export interface MembersChange {
  /** Live connections have followed. When false they will, in the order of the group's events. */
  applied: boolean;
}

/** The new settings of a group; one of them at least. */
export interface GroupChange {
  name?: string | undefined;
  /** Days after which the group's history is removed, 1 to 3,650; `null`: the API's own setting decides again. */
  retentionDays?: number | null | undefined;
  /** Of the application's own, in place of what there was; at most 4 KB of JSON. `null`: none. */
  custom?: JsonObjectInput | null | undefined;
}

export interface NewGroup {
  /** An id of the application's own, which nobody else has taken; default one that the API makes. */
  id?: GroupId | undefined;
  name?: string | undefined;
  memberIds: readonly UserId[];
  kind?: 'group' | 'direct' | undefined;
  /** Of the application's own; at most 4 KB of JSON. */
  custom?: JsonObjectInput | undefined;
}

/** One's own profile; fields that are left out stay as they are, and `null` takes one away. */
export interface ProfileChange {
  name?: string | null | undefined;
  /** An `http:` or `https:` URL. */
  picture?: string | null | undefined;
  /** Of the application's own; at most 4 KB of JSON. */
  custom?: JsonObjectInput | null | undefined;
  /** Nobody sees whether this user is connected, or was. */
  hidesPresence?: boolean | undefined;
}

export interface MessagesPage {
  /** Newest last. */
  messages: Message[];
  /** Where the group stood when the page was read: later events are not in it. */
  position: Position;
  /** There are older messages. A page may be shorter than its limit all the same; `undefined`: the API does not say. */
  more?: boolean | undefined;
}

/** The new text or fields of a message; one of them at least. */
export interface MessageChange {
  content?: string | undefined;
  /** Of the application's own, in place of what there was; at most 4 KB of JSON. `null`: none. */
  custom?: JsonObjectInput | null | undefined;
}

export interface NewMessage {
  content: string;
  clientMessageId: string;
  attachments?: JsonObject[] | undefined;
  custom?: JsonObject | undefined;
  kind?: string | undefined;
}

/**
 * The messaging API as this user sees it. Every call rejects with a `ClientError`: the API's own code, or
 * `UNREACHABLE` (retryable) when no answer came in time.
 */
export interface Api {
  /** A connection token and where to take it. */
  connectionToken: () => Promise<{ token: string; relayUrl: string }>;
  /** The STUN and TURN servers for calls, as `RTCPeerConnection` takes them; credentials are good for some time. */
  iceServers: () => Promise<IceServer[]>;
  /** Every group of the user, most recently active first, in pages of 200. */
  groups: () => Promise<GroupSummary[]>;
  /** A group with its first 100 members. */
  group: (groupId: GroupId) => Promise<Group>;
  /** Members by the time they joined, `limit` (100, at most 500) of them, from `cursor` on, which the page before has as `nextCursor`. */
  members: (
    groupId: GroupId,
    page?: { cursor?: string | undefined; limit?: number | undefined },
  ) => Promise<MembersPage>;
  createGroup: (input: NewGroup) => Promise<Group>;
  /** Only an owner may change a group. */
  updateGroup: (groupId: GroupId, change: GroupChange) => Promise<Group>;
  /** `updateGroup` with a name alone. */
  renameGroup: (groupId: GroupId, name: string) => Promise<Group>;
  /** Only an owner may delete a group; it is gone for every member. */
  deleteGroup: (groupId: GroupId) => Promise<void>;
  /** Only an owner may add members. `invited` are the users who have to accept first (`GROUP_INVITES`). */
  addMembers: (
    groupId: GroupId,
    userIds: readonly UserId[],
  ) => Promise<MembersChange & { group: Group; invited: string[] }>;
  /** An owner may remove any member, and each member may leave: `removeMember(groupId, client.userId)`. */
  removeMember: (groupId: GroupId, userId: UserId) => Promise<MembersChange>;
  /** Names, pictures and when they were last here, of users who share a group with this one. The answer leaves out all others, whether they exist or not. */
  users: (userIds: readonly UserId[]) => Promise<User[]>;
  /** One's own profile. */
  me: () => Promise<OwnUser>;
  /** Changes one's own profile, which others see beside messages. */
  updateMe: (change: ProfileChange) => Promise<OwnUser>;
  /** How far the members of a group are. */
  receipts: (groupId: GroupId) => Promise<ReceiptsPage>;
  /** The newest `limit` (at most 200) messages below `before`, fewer where they are large. */
  messages: (groupId: GroupId, page: { limit: number; before?: number | undefined }) => Promise<MessagesPage>;
  /** The events after `after`, or `reset` where that position no longer means anything. */
  events: (groupId: GroupId, after: Position) => Promise<Answer>;
  /** The same `clientMessageId` again answers the message that was saved the first time. */
  send: (groupId: GroupId, message: NewMessage) => Promise<Message>;
  editMessage: (groupId: GroupId, messageId: string, change: string | MessageChange) => Promise<Message>;
  deleteMessage: (groupId: GroupId, messageId: string) => Promise<void>;
  /** How many are unread now, counted when the group stood at `position`. */
  markRead: (groupId: GroupId, seq: number) => Promise<{ unreadCount: number; position: Position | undefined }>;
}

/** Longest time from a request to the last byte of its answer, in milliseconds. */
const TIMEOUT_MS = 15_000;
/** Largest answer that is read, in bytes. No page of the API is as large, however `MAX_PAYLOAD_BYTES` is set. */
const MAX_ANSWER_BYTES = 64 * 1_024 * 1_024;
const GROUPS_PER_PAGE = 200;
const MEMBERS_PER_PAGE = 100;
const EVENTS_PER_PAGE = 500;
const USERS_PER_PAGE = 100;

export interface ApiDeps {
  /** The API's address without a trailing slash; empty is the page's own origin. */
  apiUrl: string;
  tokens: UserTokens;
  fetch: typeof globalThis.fetch;
  clock: Clock;
}

export interface ClosableApi extends Api {
  /**
   * Every request that is under way and may be made again fails as unreachable, now. The others are waited for: they may have been
   * carried out, and would be carried out twice, or refused, if they were made again.
   */
  abandon: () => void;
  stop: () => void;
}

interface ApiRequest {
  method: string;
  path: string;
  body: unknown;
  /** The request may be made again without any effect, and its caller does so by itself. */
  isRepeatable: boolean;
}

export function createApi(deps: ApiDeps): ClosableApi {
  const { clock, tokens } = deps;
  /** The requests under way, each with whether it may be made again. */
  const aborts = new Map<AbortController, boolean>();
  let stopped = false;

  function abandon(): void {
    for (const [abort, isRepeatable] of aborts) if (isRepeatable || stopped) abort.abort();
  }

  async function exchange(
    { method, path, body, isRepeatable }: ApiRequest,
    token: string,
  ): Promise<[Response, string]> {
    if (stopped) throw new ClientError('CLOSED', 'unable to ask the API; the client was closed');
    const abort = new AbortController();
    const timer = clock.setTimeout(() => abort.abort(), TIMEOUT_MS);
    aborts.set(abort, isRepeatable);
    try {
      const response = await deps.fetch(`${deps.apiUrl}${path}`, {
        method,
        headers: {
          authorization: `Bearer ${token}`,
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        signal: abort.signal,
      });
      return [response, await readText(response)];
    } catch (cause) {
      if (stopped) throw new ClientError('CLOSED', 'unable to ask the API; the client was closed', { cause });
      throw unreachable('unable to reach the API', cause);
    } finally {
      clock.clearTimeout(timer);
      aborts.delete(abort);
    }
  }

  /** Answers the fields of the answer. A refused token is replaced once: it may have expired since the application gave it. */
  async function request(
    method: string,
    path: string,
    body?: unknown,
    isRepeatable = method === 'GET',
  ): Promise<Fields> {
    for (let again = true; ; again = false) {
      const token = await tokens.get();
      const [response, text] = await exchange({ method, path, body, isRepeatable }, token);
      const answer = fieldsOf(parseJson(text)) ?? {};
      if (response.ok) return answer;
      if (response.status === 401) tokens.refuse(token);
      if (response.status !== 401 || !again) throw errorOf(response, answer);
    }
  }

  const base = (groupId: GroupId): string => `/api/messaging/groups/${encodeURIComponent(idOf(groupId))}`;
  const memberPath = (groupId: GroupId, userId: UserId): string =>
    `${base(groupId)}/members/${encodeURIComponent(String(userId))}`;

  async function updateGroup(groupId: GroupId, change: GroupChange): Promise<Group> {
    return groupOf(await request('PATCH', base(groupId), change));
  }

  return {
    async connectionToken() {
      const { token, relayUrl } = await request('POST', '/api/realtime/token', {}, true);
      if (typeof token === 'string' && typeof relayUrl === 'string') return { token, relayUrl };
      throw unreadable('connection token');
    },
    async iceServers() {
      return parseList((await request('GET', '/api/realtime/ice-servers'))['iceServers'], parseIceServer);
    },
    async groups() {
      const groups: GroupSummary[] = [];
      for (let cursor: unknown; ; ) {
        const query = typeof cursor === 'string' ? `&cursor=${encodeURIComponent(cursor)}` : '';
        const answer = await request('GET', `/api/messaging/groups?limit=${GROUPS_PER_PAGE}${query}`);
        if (!Array.isArray(answer['groups'])) throw unreadable('list of groups');
        groups.push(...parseList(answer['groups'], parseGroup));
        cursor = answer['nextCursor'];
        if (typeof cursor !== 'string') return groups;
      }
    },
    async group(groupId) {
      return groupOf(await request('GET', base(groupId)));
    },
    async members(groupId, { cursor, limit = MEMBERS_PER_PAGE } = {}) {
      const query = cursor === undefined ? '' : `&cursor=${encodeURIComponent(cursor)}`;
      return membersOf(await request('GET', `${base(groupId)}/members?limit=${limit}${query}`));
    },
    async createGroup(input) {
      return groupOf(await request('POST', '/api/messaging/groups', input));
    },
    updateGroup,
    renameGroup: async (groupId, name) => updateGroup(groupId, { name }),
    async deleteGroup(groupId) {
      await request('DELETE', base(groupId));
    },
    async addMembers(groupId, userIds) {
      const answer = await request('POST', `${base(groupId)}/members`, { userIds });
      const invited = parseList(answer['invited'], parseUserId);
      return { group: groupOf(answer), applied: answer['applied'] === true, invited };
    },
    async removeMember(groupId, userId) {
      const answer = await request('DELETE', memberPath(groupId, userId));
      return { applied: answer['applied'] === true };
    },
    async users(userIds) {
      const asked = [...new Set(userIds.map(String))];
      const users: User[] = [];
      for (let start = 0; start < asked.length; start += USERS_PER_PAGE) {
        const query = new URLSearchParams(asked.slice(start, start + USERS_PER_PAGE).map((id) => ['ids', id]));
        const answer = await request('GET', `/api/users?${query}`);
        if (!Array.isArray(answer['users'])) throw unreadable('list of users');
        users.push(...parseList(answer['users'], parseUser));
      }
      return users;
    },
    async me() {
      return ownUserOf(await request('GET', '/api/users/me'));
    },
    async updateMe(change) {
      return ownUserOf(await request('PUT', '/api/users/me', change));
    },
    async receipts(groupId) {
      return receiptsOf(await request('GET', `${base(groupId)}/receipts`));
    },
    async messages(groupId, { limit, before }) {
      const query = before === undefined ? '' : `&before=${before}`;
      const answer = await request('GET', `${base(groupId)}/messages?limit=${limit}${query}`);
      const position = parsePosition(answer['position']);
      if (!position) throw unreadable('messages');
      const more = answer['more'];
      return {
        messages: parseList(answer['messages'], parseMessage),
        position,
        ...(typeof more === 'boolean' ? { more } : {}),
      };
    },
    async events(groupId, { epoch, seq }) {
      const query = `after=${seq}&epoch=${encodeURIComponent(epoch)}&limit=${EVENTS_PER_PAGE}`;
      const answer = await request('GET', `${base(groupId)}/events?${query}`);
      const position = parsePosition(answer['position']);
      if (!position) throw unreadable('events');
      if (answer['reset'] === true) return { kind: 'reset', position };
      const found = parseList(answer['events'], (item) => parseEvent(item));
      return { kind: 'page', page: { events: found, position, more: answer['more'] === true } };
    },
    async send(groupId, message) {
      return messageOf(await request('POST', `${base(groupId)}/messages`, message, true));
    },
    async editMessage(groupId, messageId, change) {
      const path = `${base(groupId)}/messages/${encodeURIComponent(messageId)}`;
      return messageOf(await request('PATCH', path, typeof change === 'string' ? { content: change } : change));
    },
    async deleteMessage(groupId, messageId) {
      await request('DELETE', `${base(groupId)}/messages/${encodeURIComponent(messageId)}`);
    },
    async markRead(groupId, seq) {
      const { unreadCount, position } = await request('POST', `${base(groupId)}/read`, { seq }, true);
      return { unreadCount: typeof unreadCount === 'number' ? unreadCount : 0, position: parsePosition(position) };
    },
    abandon,
    stop() {
      stopped = true;
      abandon();
    },
  };
}

/** Some environments have a `fetch` without streams, such as React Native's; there only the deadline bounds an answer. */
async function readText(response: Response): Promise<string> {
  if (!response.body) return response.text();
  return new TextDecoder().decode(await readBytes(response.body, MAX_ANSWER_BYTES));
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** A proxy in between answers without our error body. */
function errorOf(response: Response, answer: Fields): ClientError {
  return fromBody(answer['error'], {
    message: `the API answered ${response.status}`,
    retryable: response.status >= 500 || response.status === 429 || response.status === 408,
  });
}
