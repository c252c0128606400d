import { GroupcastError } from '@groupcast/shared';

/** The same error for a group that does not exist and for a user who is not a member, so that a stranger cannot tell the two apart. */
export function groupNotFound(groupId: string): GroupcastError {
  return new GroupcastError('NOT_FOUND', `unable to find group "${groupId}"; there is none, or you are not a member`);
}
