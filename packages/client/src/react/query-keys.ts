import { idOf } from '../base/parse.ts';
import type { GroupcastClient, GroupId, UserId } from '../index.ts';

let clients = 0;
const scopes = new WeakMap<GroupcastClient, number>();

/** Each client has keys of its own, so that the next user who logs in is never shown data of the last one. */
function scopeOf(client: GroupcastClient): number {
  const scope = scopes.get(client) ?? (clients += 1);
  scopes.set(client, scope);
  return scope;
}

/**
 * The keys of a client's entries in the cache, for `queryClient.getQueryData` and its like. Only the client writes there.
 * `1` and `"1"` are the same group, and the same key.
 */
export const groupcastKeys = {
  all: (client: GroupcastClient) => ['groupcast', scopeOf(client)] as const,
  groups: (client: GroupcastClient) => ['groupcast', scopeOf(client), 'groups'] as const,
  messages: (client: GroupcastClient, groupId: GroupId) =>
    ['groupcast', scopeOf(client), 'messages', idOf(groupId)] as const,
  members: (client: GroupcastClient, groupId: GroupId) =>
    ['groupcast', scopeOf(client), 'members', idOf(groupId)] as const,
  lastSeen: (client: GroupcastClient, userIds: readonly UserId[]) =>
    ['groupcast', scopeOf(client), 'last-seen', ...new Set(userIds.map(String).toSorted())] as const,
  users: (client: GroupcastClient, userIds: readonly UserId[]) =>
    ['groupcast', scopeOf(client), 'users', ...new Set(userIds.map(String).toSorted())] as const,
};

/** The key of an entry that stays empty, for pages that are rendered on a server and taken over by a browser. */
export function beforeHydration(
  client: GroupcastClient,
  kind: 'groups' | 'messages' | 'members' | 'users' | 'last-seen',
) {
  return ['groupcast', scopeOf(client), 'before hydration', kind] as const;
}
