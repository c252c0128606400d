import type { UserClaims } from '@groupcast/shared';
import type { Database } from '../db/database.ts';
import { isStorable } from '../db/storable.ts';

/** So many users are remembered as unchanged; the oldest is forgotten first. */
const MAX_REMEMBERED = 50_000;

/** Any valid user token is a user: known from the first request on, with what the token says of the profile. */
export interface UserStore {
  /** Writes only when the token says something new. */
  remember(claims: UserClaims): Promise<void>;
}

/** Longest name, address of mail and of a picture that are kept, in characters. */
const MAX_LENGTH = { name: 200, email: 320, picture: 2_048 };

/** A profile is for show: what of it cannot be stored, or is no name or address by its length, is left out. */
function storableOf({ profile }: UserClaims): (string | null)[] {
  return (['name', 'email', 'picture'] as const).map((field) => {
    const text = profile[field];
    return text !== undefined && text.length <= MAX_LENGTH[field] && isStorable(text) ? text : null;
  });
}

export function createUserStore(db: Database): UserStore {
  const remembered = new Map<string, string>();
  return {
    async remember(claims) {
      const { userId } = claims;
      const profile = storableOf(claims);
      const known = JSON.stringify(profile);
      if (remembered.get(userId) === known) return;
      await db.query(
        `insert into users (id, name, email, picture) values ($1, $2, $3, $4)
         on conflict (id) do update set name = coalesce($2, users.name), email = coalesce($3, users.email),
         picture = coalesce($4, users.picture)`,
        [userId, ...profile],
      );
      remembered.delete(userId);
      remembered.set(userId, known);
      if (remembered.size > MAX_REMEMBERED) {
        const [oldest] = remembered.keys();
        if (oldest !== undefined) remembered.delete(oldest);
      }
    },
  };
}
