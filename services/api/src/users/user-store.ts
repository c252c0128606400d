import type { UserClaims } from '@groupcast/shared';
import type { Database } from '../db/database.ts';

/** So many users are remembered as unchanged; the oldest is forgotten first. */
const MAX_REMEMBERED = 50_000;

/** Any valid user token is a user: known from the first request on, with what the token says of the profile. */
export interface UserStore {
  /** Writes only when the token says something new. */
  remember(claims: UserClaims): Promise<void>;
}

export function createUserStore(db: Database): UserStore {
  const remembered = new Map<string, string>();
  return {
    async remember({ userId, profile }) {
      const { name = null, email = null, picture = null } = profile;
      const known = JSON.stringify([name, email, picture]);
      if (remembered.get(userId) === known) return;
      await db.query(
        `insert into users (id, name, email, picture) values ($1, $2, $3, $4)
         on conflict (id) do update set name = coalesce($2, users.name), email = coalesce($3, users.email),
         picture = coalesce($4, users.picture)`,
        [userId, name, email, picture],
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
