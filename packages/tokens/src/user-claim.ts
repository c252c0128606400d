import { parseUserId } from '@groupcast/shared';
import { readClaim } from './claim-path.ts';

/** Where applications put the user. */
const USUAL_PLACES = ['sub', '_id', 'id', 'userId', 'user_id', 'uid', 'user.id', 'user._id'];

/** A sentence that names another claim of the token that may be the user; empty if it has none. `claim`: the one that should be. */
export function otherUserClaim(payload: Readonly<Record<string, unknown>>, claim: string): string {
  const other = USUAL_PLACES.find((each) => each !== claim && parseUserId(readClaim(payload, each)) !== undefined);
  return other === undefined ? '' : `; it has ${other}: set JWT_USER_CLAIM=${other} if that is the user`;
}
