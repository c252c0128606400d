import type { User, UserClaims } from '@groupcast/shared';
import type { Database, Queryable } from '../db/database.ts';
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

/**
 * Those of `ids` whom `userId` may know: oneself, members of a group that both are in, and who has said something there. Nobody learns of
 * others whether they exist.
 */
export async function readUsersAs(q: Queryable, userId: string, ids: readonly string[]): Promise<User[]> {
  const { rows } = await q.query<{ id: string; name: string | null; picture: string | null }>(
    `select u.id, u.name, u.picture from users u where u.id = any($2::text[]) and (u.id = $1 or exists (
       select 1 from group_members mine join groups g on g.id = mine.group_id
       where mine.user_id = $1 and g.deleted_at is null and (
         exists (select 1 from group_members m where m.group_id = g.id and m.user_id = u.id)
         or exists (select 1 from messages said where said.group_id = g.id and said.sender_id = u.id))))
     order by u.id`,
    [userId, [...ids]],
  );
  return rows.map(({ id, name, picture }) => ({ id, ...(name ? { name } : {}), ...(picture ? { picture } : {}) }));
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
