import { idInRoomName } from '@groupcast/shared';

/** The spellings under which the members of a group without connections may be found. */
const SPELLINGS = ['group', 'room', 'conversation', 'chat', 'channel'].flatMap((kind) => [`${kind}-`, `${kind}:`]);

/**
 * Returns the group that may be meant if nobody is in `groupId`: people broadcast to the name of a room, or join by one. Looks only at the
 * members of this relay. Returns `undefined` if there is nothing to say.
 */
export function hintAtGroup(groupId: string, memberCount: (groupId: string) => number): string | undefined {
  const bare = idInRoomName(groupId);
  const found = [bare ?? '', ...SPELLINGS.map((prefix) => `${prefix}${groupId}`)].find((id) => memberCount(id) > 0);
  if (found !== undefined) {
    const count = memberCount(found);
    return `${count} ${count === 1 ? 'connection is' : 'connections are'} in group "${found}"`;
  }
  return bare === undefined ? undefined : `a group is named by its id alone; is group "${bare}" meant?`;
}
