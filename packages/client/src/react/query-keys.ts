import type { GroupcastClient, GroupId } from '../index.ts';
import { idOf } from '../parse.ts';

let clients = 0;
const scopes = new WeakMap<GroupcastClient, number>();

/** Each client has keys of its own: what one user has read is never shown to the next one who logs in. */
function scopeOf(client: GroupcastClient): number {
  const scope = scopes.get(client) ?? (clients += 1);
  scopes.set(client, scope);
  return scope;
}

/**
 * Where the cache keeps what a client knows, for `queryClient.getQueryData` and its like. Read only: the client writes there.
 * `1` and `"1"` are the same group, and the same key.
 */
export const groupcastKeys = {
  all: (client: GroupcastClient) => ['groupcast', scopeOf(client)] as const,
  groups: (client: GroupcastClient) => ['groupcast', scopeOf(client), 'groups'] as const,
  messages: (client: GroupcastClient, groupId: GroupId) =>
    ['groupcast', scopeOf(client), 'messages', idOf(groupId)] as const,
};
