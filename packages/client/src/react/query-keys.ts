import { idOf } from '../base/parse.ts';
import type { GroupcastClient, GroupId, UserId } from '../index.ts';

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
  members: (client: GroupcastClient, groupId: GroupId) =>
    ['groupcast', scopeOf(client), 'members', idOf(groupId)] as const,
  users: (client: GroupcastClient, userIds: readonly UserId[]) =>
    ['groupcast', scopeOf(client), 'users', ...new Set(userIds.map(String).toSorted())] as const,
};

/** An entry that stays empty, for what is rendered on a server and taken over by a browser. */
export function beforeHydration(client: GroupcastClient, kind: 'groups' | 'messages' | 'members' | 'users') {
  return ['groupcast', scopeOf(client), 'before hydration', kind] as const;
}
