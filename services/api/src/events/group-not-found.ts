import { GroupcastError } from '@groupcast/shared';

/** For a group that does not exist and for whoever is not a member alike: a stranger cannot tell the two apart. */
export function groupNotFound(groupId: string): GroupcastError {
  return new GroupcastError('NOT_FOUND', `unable to find group "${groupId}"; there is none, or you are not a member`);
}
