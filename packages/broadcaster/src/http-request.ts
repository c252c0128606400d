import { COMMAND_ENDPOINTS, GroupcastError } from '@groupcast/shared/publisher';
import type { RelayCall } from './publisher.ts';
import { isNoJson } from './relay-error.ts';

export interface RelayRequest {
  method: 'GET' | 'POST';
  /** Below the relay's URL, with its query. */
  path: string;
  body?: string;
}

/** Path segments that a URL swallows, however they are encoded: the request would go elsewhere. */
const NO_SEGMENTS: ReadonlySet<string> = new Set(['', '.', '..']);

const POSTS: ReadonlyMap<string, string> = new Map([
  ...Object.values(COMMAND_ENDPOINTS).map(({ event, path }): [string, string] => [event, path]),
  ['api-await-delivery', '/v1/deliveries'],
]);

function presencePath(call: RelayCall, payload: unknown): string {
  const groupId: unknown = (payload as { groupId?: unknown } | null | undefined)?.groupId;
  const segment = typeof groupId === 'string' || typeof groupId === 'number' ? String(groupId) : '';
  const refusal = new GroupcastError('INVALID_PAYLOAD', `unable to send ${call}; groupId is no id of a group`);
  if (NO_SEGMENTS.has(segment)) throw refusal;
  try {
    return `/v1/groups/${encodeURIComponent(segment)}/presence`;
  } catch {
    // Half of a character: a URL cannot contain it.
    throw refusal;
  }
}

/** An object is no value of a query; its JSON is refused by the relay as one. */
const textOf = (value: unknown): string => (typeof value === 'string' ? value : JSON.stringify(value));

/** A list is repeated: `userIds=a&userIds=b`. */
function tracePath(payload: unknown): string {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries((payload ?? {}) as Record<string, unknown>)) {
    for (const one of [value].flat()) if (one !== undefined) query.append(name, textOf(one));
  }
  return `/v1/traces?${query.toString()}`;
}

/** The HTTP request of a call. Throws `INVALID_PAYLOAD` where there is none; everything else about the payload is judged by the relay. */
export function requestOf(call: RelayCall, payload: unknown): RelayRequest {
  if (call === 'api-get-presence') return { method: 'GET', path: presencePath(call, payload) };
  try {
    if (call === 'api-get-trace') return { method: 'GET', path: tracePath(payload) };
    return { method: 'POST', path: POSTS.get(call) ?? '/', body: JSON.stringify(payload ?? null) };
  } catch (cause) {
    throw isNoJson(call, cause);
  }
}
