import { idInRoomName, plainIdOf } from '@groupcast/shared';

/** The spellings under which the members of a group without connections may be found. */
const SPELLINGS = ['group', 'room', 'conversation', 'chat', 'channel'].flatMap((kind) => [
  `${kind}-`,
  `${kind}:`,
  `${kind}_`,
]);

/** Zeros that a number may have been filled up with. */
const ZEROS = ['0', '00'];

/** Every way in which the id may be spelled where its members are, the likeliest first. */
function spellingsOf(groupId: string): string[] {
  const plain = plainIdOf(groupId);
  const filled = /^\d+$/.test(plain) ? ZEROS.map((zeros) => `${zeros}${plain}`) : [];
  const bare = [...new Set([idInRoomName(groupId) ?? groupId, plain, ...filled])];
  return [...bare, ...[groupId, ...bare].flatMap((id) => SPELLINGS.map((prefix) => `${prefix}${id}`))];
}

/**
 * Returns the group that may be meant if nobody is in `groupId`: people broadcast to the name of a room, or join by one. Looks only at the
 * members of this relay. Returns `undefined` if there is nothing to say.
 */
export function hintAtGroup(groupId: string, memberCount: (groupId: string) => number): string | undefined {
  const bare = idInRoomName(groupId);
  const found = spellingsOf(groupId).find((id) => id !== groupId && memberCount(id) > 0);
  if (found !== undefined) {
    const count = memberCount(found);
    return `${count} ${count === 1 ? 'connection is' : 'connections are'} in group "${found}"`;
  }
  return bare === undefined ? undefined : `a group is named by its id alone; is group "${bare}" meant?`;
}
