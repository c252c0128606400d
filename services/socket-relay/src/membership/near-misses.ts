import { idInRoomName, otherSpellingsOf } from '@groupcast/shared';

/**
 * Returns the group that may be meant if nobody is in `groupId`: people broadcast to the name of a room, or join by one. Looks only at the
 * members of this relay. Returns `undefined` if there is nothing to say.
 */
export function hintAtGroup(groupId: string, memberCount: (groupId: string) => number): string | undefined {
  const found = otherSpellingsOf(groupId).find((id) => memberCount(id) > 0);
  if (found !== undefined) {
    const count = memberCount(found);
    return `${count} ${count === 1 ? 'connection is' : 'connections are'} in group "${found}"`;
  }
  const bare = idInRoomName(groupId);
  return bare === undefined ? undefined : `a group is named by its id alone; is group "${bare}" meant?`;
}
