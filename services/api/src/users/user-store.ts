import type { JsonObject, OwnUser, User, UserClaims } from '@groupcast/shared';
import type { Database, Queryable } from '../db/database.ts';
import { isStorable } from '../db/storable.ts';
import { activityOf, lastSeqBy } from '../events/history-rows.ts';
import { shownOf } from '../events/sender.ts';

/** Most users whose profile is remembered as unchanged; the oldest is forgotten first. */
const MAX_REMEMBERED = 50_000;

/** Any valid user token is a user: known from the first request on, with what the token says of the profile. */
export interface UserStore {
  /** Writes only when the token says something new. */
  remember(claims: UserClaims): Promise<void>;
  /** Writes a user of whom a relay names the id alone, unless they are known already. */
  rememberId(userId: string): Promise<void>;
}

/** Longest name, address of mail and of a picture that are kept, in characters. */
export const MAX_LENGTH = { name: 200, email: 320, picture: 2_048 };

/** In place of a profile that was never read: no token's is equal to it. */
const NO_PROFILE = '';

/** A token's profile is only shown: fields that cannot be stored, or are too long for a name or an address, are left out. */
function storableOf({ profile }: UserClaims): (string | null)[] {
  return (['name', 'email', 'picture'] as const).map((field) => {
    const text = profile[field];
    return text !== undefined && text.length <= MAX_LENGTH[field] && isStorable(text) ? text : null;
  });
}

const PROFILE = `u.id, ${shownOf('name', 'u')} as name, ${shownOf('picture', 'u')} as picture, u.custom,
    case when u.hides_presence then null else u.last_seen_at end as last_seen_at`;

interface UserRow extends Record<string, unknown> {
  id: string;
  name: string | null;
  picture: string | null;
  custom: JsonObject | null;
  last_seen_at: Date | null;
}

function toUser({ id, name, picture, custom, last_seen_at: lastSeenAt }: UserRow): User {
  return {
    id,
    ...(name ? { name } : {}),
    ...(picture ? { picture } : {}),
    ...(custom ? { custom } : {}),
    ...(lastSeenAt ? { lastSeenAt: lastSeenAt.toISOString() } : {}),
  };
}

/** Groups of the caller, those in which something happened last, in which authors are looked up. */
const GROUPS_SEARCHED = 100;

/** By their keys: the limit keeps the planner, which may know nothing of the tables yet, from comparing all groups with all. */
const GROUPS_OF_CALLER = `from group_members mine cross join lateral (
    select id, created_at from groups where id = mine.group_id and deleted_at is null limit 1) as g
  where mine.user_id = $1`;

/** Starts from the groups of the users that are asked for: the caller may be in thousands, a stranger is in few. */
const READ_USERS = `with met as (
    select user_id, bool_or(group_id in (select g.id ${GROUPS_OF_CALLER})) as is_member
    from group_members where user_id = any($2::text[]) group by user_id)
  select ${PROFILE}, u.id = $1 or coalesce(met.is_member, false) as is_known
  from users u left join met on met.user_id = u.id where u.id = any($2::text[]) order by u.id`;

const FIND_AUTHORS = `with searched as materialized (
    select g.id ${GROUPS_OF_CALLER} order by ${activityOf('g')} desc limit ${GROUPS_SEARCHED})
  select asked.id from unnest($2::text[]) as asked(id) where exists (
    select 1 from searched where ${lastSeqBy('searched.id', 'asked.id')} > 0)`;

/**
 * The users among `ids` whom `userId` may know: the caller, members of a group that both are in, and authors of messages in the caller's
 * latest groups. Whether any other user exists is not told, and only those who share a group are told when the user was there last.
 */
export async function readUsersAs(q: Queryable, userId: string, ids: readonly string[]): Promise<User[]> {
  const { rows } = await q.query<UserRow & { is_known: boolean }>(READ_USERS, [userId, [...ids]]);
  const others = rows.filter((row) => !row.is_known).map(({ id }) => id);
  const authors = others.length === 0 ? [] : (await q.query<{ id: string }>(FIND_AUTHORS, [userId, others])).rows;
  const known = new Set(authors.map(({ id }) => id));
  return rows
    .filter((row) => row.is_known || known.has(row.id))
    .map((row) => toUser(row.is_known ? row : { ...row, last_seen_at: null }));
}

/** Fields that a user may set of their own profile. `null` takes one away: name and picture are then those of the tokens again. */
export interface ProfileChange {
  name?: string | null | undefined;
  picture?: string | null | undefined;
  custom?: JsonObject | null | undefined;
  hidesPresence?: boolean | undefined;
}

/**
 * Sets what is given, and answers the whole profile, and whether the presence is hidden that was not, or the other way round. Somebody who
 * hides their presence was last seen never, also once they show it again.
 */
export async function writeProfile(
  q: Queryable,
  userId: string,
  change: ProfileChange,
): Promise<{ user: OwnUser; isPresenceOther: boolean }> {
  const { name, picture, custom, hidesPresence } = change;
  const { rows } = await q.query<UserRow & { hides_presence: boolean; hid_presence: boolean }>(
    `with before as (select hides_presence from users where id = $1)
     insert into users as u (id, own_name, own_picture, custom, hides_presence) values ($1, $3, $5, $7, $8)
     on conflict (id) do update set
       own_name = case when $2 then $3 else u.own_name end,
       own_picture = case when $4 then $5 else u.own_picture end,
       custom = case when $6 then $7::jsonb else u.custom end,
       hides_presence = coalesce($8, u.hides_presence),
       last_seen_at = case when coalesce($8, u.hides_presence) then null else u.last_seen_at end
     returning ${PROFILE}, coalesce(u.hides_presence, false) as hides_presence,
       coalesce((select hides_presence from before), false) as hid_presence`,
    [
      userId,
      name !== undefined,
      name ?? null,
      picture !== undefined,
      picture ?? null,
      custom !== undefined,
      custom ? JSON.stringify(custom) : null,
      hidesPresence ?? null,
    ],
  );
  const [row] = rows;
  if (!row) return { user: { id: userId, hidesPresence: false }, isPresenceOther: false };
  const user = { ...toUser(row), hidesPresence: row.hides_presence };
  return { user, isPresenceOther: row.hides_presence !== row.hid_presence };
}

export async function readProfile(q: Queryable, userId: string): Promise<OwnUser> {
  const { rows } = await q.query<UserRow & { hides_presence: boolean | null }>(
    `select ${PROFILE}, u.hides_presence from users u where u.id = $1`,
    [userId],
  );
  const [row] = rows;
  return row ? { ...toUser(row), hidesPresence: row.hides_presence === true } : { id: userId, hidesPresence: false };
}

export async function isPresenceHidden(q: Queryable, userId: string): Promise<boolean> {
  const { rows } = await q.query('select 1 from users where id = $1 and hides_presence', [userId]);
  return rows.length > 0;
}

/** How old the time at which a user was last seen may become before it is written again, as SQL. */
const SEEN_EVERY = `interval '1 minute'`;

/**
 * Notes that users are there, at most once a minute for each of them, and never for those who hide it. Whom another process is noting at the same
 * time is left to it. A time that lies ahead is of a clock that was set back since.
 */
export async function storeSeen(q: Queryable, userIds: readonly string[]): Promise<void> {
  await q.query(
    `with due as (
       select id from users where id = any($1::text[]) and hides_presence is not true
         and (last_seen_at is null or last_seen_at not between now() - ${SEEN_EVERY} and now())
       for update skip locked
     )
     update users set last_seen_at = date_trunc('milliseconds', now()) from due where users.id = due.id`,
    [[...userIds]],
  );
}

/** How long after a relay has named a user, which it does every 5 minutes, the user still counts as there, as SQL. */
const THERE_FOR = `interval '6 minutes'`;

/** The users among `ids` who were there lately, but those who hide it. */
export async function seenAmong(q: Queryable, ids: readonly string[]): Promise<Set<string>> {
  const { rows } = await q.query<{ id: string }>(
    `select id from users where id = any($1::text[]) and hides_presence is not true
       and last_seen_at between now() - ${THERE_FOR} and now() + ${SEEN_EVERY}`,
    [[...ids]],
  );
  return new Set(rows.map(({ id }) => id));
}

export function createUserStore(db: Database): UserStore {
  const remembered = new Map<string, string>();

  function keep(userId: string, profile: string): void {
    remembered.delete(userId);
    remembered.set(userId, profile);
    if (remembered.size <= MAX_REMEMBERED) return;
    const [oldest] = remembered.keys();
    if (oldest !== undefined) remembered.delete(oldest);
  }

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
      keep(userId, known);
    },
    async rememberId(userId) {
      if (remembered.has(userId)) return;
      await db.query('insert into users (id) values ($1) on conflict do nothing', [userId]);
      keep(userId, NO_PROFILE);
    },
  };
}
