import type { ErrorBody, ErrorCode, Group, GroupEvent, GroupSummary, Message, Position } from '@groupcast/shared';

const TIMEOUT_MS = 15_000;

export interface DemoUser {
  id: string;
  name: string;
}

export interface DemoLogin {
  user: DemoUser;
  token: string;
}

export interface EventsPage {
  /** The group was started over under another epoch: reload its messages. */
  reset?: boolean;
  events: GroupEvent[];
  position: Position;
  more?: boolean;
}

/** A request that did not succeed. `UNREACHABLE`: no answer at all, which is always worth another try. */
export class ApiError extends Error {
  override readonly name = 'ApiError';
  readonly code: ErrorCode | 'UNREACHABLE';
  readonly retryable: boolean;
  readonly retryAfterMs: number | undefined;

  constructor(body: Omit<ErrorBody, 'code'> & { code: ErrorCode | 'UNREACHABLE' }, cause?: unknown) {
    super(body.message, cause === undefined ? undefined : { cause });
    this.code = body.code;
    this.retryable = body.retryable;
    this.retryAfterMs = body.retryAfterMs;
  }
}

interface RequestOptions {
  body?: object;
  token?: string;
  onUnauthorized?: () => void;
}

async function request<T>(method: 'GET' | 'POST', path: string, options: RequestOptions = {}): Promise<T> {
  const headers = new Headers();
  if (options.token) headers.set('authorization', `Bearer ${options.token}`);
  if (options.body) headers.set('content-type', 'application/json');
  const { response, text } = await exchange(path, {
    method,
    headers,
    body: options.body ? JSON.stringify(options.body) : null,
    signal: AbortSignal.timeout(TIMEOUT_MS),
  });
  const body = parseJson(text);
  if (response.ok) return body as T;
  if (response.status === 401) options.onUnauthorized?.();
  throw new ApiError(errorBodyOf(body, response));
}

async function exchange(path: string, init: RequestInit): Promise<{ response: Response; text: string }> {
  try {
    const response = await fetch(path, init);
    return { response, text: await response.text() };
  } catch (cause) {
    throw new ApiError({ code: 'UNREACHABLE', message: 'the server does not answer', retryable: true }, cause);
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** A proxy in between answers without our error body. */
function errorBodyOf(body: unknown, response: Response): ErrorBody {
  const error = (body as { error?: Partial<ErrorBody> } | undefined)?.error;
  if (error?.code && error.message) return { retryable: false, ...error, code: error.code, message: error.message };
  return { code: 'INTERNAL', message: `the server answered ${response.status}`, retryable: response.status >= 500 };
}

/** Logs in as `name`; the account is made when it does not exist. */
export function login(name: string): Promise<DemoLogin> {
  return request('POST', '/api/demo/login', { body: { name } });
}

export type Api = ReturnType<typeof createApi>;

/** The messaging API as one user sees it. Every call rejects with an {@link ApiError}. */
export function createApi(token: string, onUnauthorized: () => void) {
  const get = <T>(path: string): Promise<T> => request('GET', path, { token, onUnauthorized });
  const post = <T>(path: string, body: object): Promise<T> => request('POST', path, { token, onUnauthorized, body });
  const groupPath = (groupId: string): string => `/api/messaging/groups/${encodeURIComponent(groupId)}`;

  return {
    /** A fresh connection token, and where to take it. */
    connectionToken: (): Promise<{ token: string; relayUrl: string }> => post('/api/realtime/token', {}),

    groups: (): Promise<{ groups: GroupSummary[] }> => get('/api/messaging/groups'),

    createGroup: (name: string, memberIds: string[]): Promise<{ group: Group }> =>
      post('/api/messaging/groups', { name, memberIds }),

    /** The newest `limit` messages below `before`, newest last, and the head they were read at. */
    messages: (groupId: string, limit: number, before?: number): Promise<{ messages: Message[]; position: Position }> =>
      get(`${groupPath(groupId)}/messages?limit=${limit}${before === undefined ? '' : `&before=${before}`}`),

    /** Everything that happened in the group after `position`, oldest first. */
    events: (groupId: string, { epoch, seq }: Position): Promise<EventsPage> =>
      get(`${groupPath(groupId)}/events?after=${seq}&epoch=${encodeURIComponent(epoch)}`),

    /** The same `clientMessageId` again answers the message saved the first time. */
    send: (groupId: string, content: string, clientMessageId: string): Promise<{ message: Message }> =>
      post(`${groupPath(groupId)}/messages`, { content, clientMessageId }),

    markRead: (groupId: string, seq: number): Promise<unknown> => post(`${groupPath(groupId)}/read`, { seq }),
  };
}
