import { type Group, INTERNAL_LIMITS, type JsonObject } from '@groupcast/shared';
import type { Queryable } from '../db/database.ts';
import { groupNotFound } from '../events/group-not-found.ts';
import { activityOf, headOf } from '../events/history-rows.ts';
import { MEMBERS_IN_GROUP, type Role, readMembers } from './member-store.ts';

export interface GroupRow extends Record<string, unknown> {
  id: string;
  kind: Group['kind'];
  name: string | null;
  created_at: Date;
  epoch: string;
  seq: number;
  member_count: number;
  /** The history up to here has been removed. */
  floor_seq: number;
  retention_days: number | null;
  custom: JsonObject | null;
}

const COLUMNS = `g.id, g.kind, g.name, g.created_at, g.epoch, ${headOf('g')} as seq, g.member_count, g.floor_seq, g.retention_days, g.custom`;

/** The group and the user's role in it, in one snapshot. Throws `NOT_FOUND`. */
export async function readGroupAs(q: Queryable, groupId: string, userId: string): Promise<GroupRow & { role: Role }> {
  const { rows } = await q.query<GroupRow & { role: Role }>(
    `select ${COLUMNS}, m.role
     from groups g join group_members m on m.group_id = g.id and m.user_id = $2
     where g.id = $1 and g.deleted_at is null`,
    [groupId, userId],
  );
  const row = rows[0];
  if (!row) throw groupNotFound(groupId);
  return row;
}

/** The fields of a group that are there only where somebody has set them. */
export function settingsOf({ retention_days, custom }: GroupRow): Pick<Group, 'retentionDays' | 'custom'> {
  return { ...(retention_days === null ? {} : { retentionDays: retention_days }), ...(custom ? { custom } : {}) };
}

export async function toGroup(q: Queryable, row: GroupRow): Promise<Group> {
  return {
    id: row.id,
    name: row.name,
    kind: row.kind,
    members: (await readMembers(q, row.id, { limit: MEMBERS_IN_GROUP })).rows,
    memberCount: row.member_count,
    createdAt: row.created_at.toISOString(),
    position: { epoch: row.epoch, seq: row.seq },
    ...settingsOf(row),
  };
}

/** SQL of whether the member `m` came by themselves, or has read or said anything. */
const HAS_ACTED = '(m.added_by is null or m.read_seq > 0)';

/** Bytes that an id takes in a list, beside its own. */
const BYTES_PER_ID = 3;

function withinBytes(ids: readonly string[], maxBytes: number): string[] {
  let bytes = 2;
  return ids.filter((id) => {
    bytes += id.length + BYTES_PER_ID;
    return bytes <= maxBytes;
  });
}

interface MostIds {
  ids: number;
  bytes: number;
}

/** The groups that the user has read or said anything in, or came into alone, then the others; of each those that were active last first. */
async function readMostActive(q: Queryable, userId: string, most: MostIds): Promise<string[]> {
  const { rows } = await q.query<{ id: string }>(
    `select g.id from group_members m cross join lateral (
       select * from groups where id = m.group_id and deleted_at is null limit 1) g
     where m.user_id = $1
     order by ${HAS_ACTED} desc, ${activityOf('g')} desc limit $2`,
    [userId, most.ids],
  );
  return withinBytes(
    rows.map(({ id }) => id),
    most.bytes,
  );
}

/**
 * The groups that a connection token names. Those in which the user has never read or said anything, and into which others have put them, come
 * after all others: however many there are of these, they push out no other. Where there are more than fit, those that were active last come
 * first.
 */
export async function groupIdsOf(q: Queryable, userId: string, most: MostIds): Promise<string[]> {
  const all = await q.query<{ id: string }>(
    `select g.id from group_members m cross join lateral (
       select id from groups where id = m.group_id and deleted_at is null limit 1) g
     where m.user_id = $1 order by ${HAS_ACTED} desc limit $2`,
    [userId, most.ids + 1],
  );
  const ids = all.rows.map(({ id }) => id);
  // Most users are in few groups: when each of them was active need not be looked up.
  if (ids.length <= most.ids && withinBytes(ids, most.bytes).length === ids.length) return ids;
  return readMostActive(q, userId, most);
}

/** Most ids of one user's groups, and most bytes of them: those of 100 users fit into what a relay reads of an answer. */
const MOST_OF_USER = { ids: INTERNAL_LIMITS.groupsOfUser, bytes: 600_000 };
/** Most groups of a user that are answered in any order, since a connection may be in all of them. */
const FEW_GROUPS = 50;

/** The groups of each user; of users who are in many, the most active first, and not more than an answer may have. */
export async function groupsOfUsers(
  q: Queryable,
  userIds: readonly string[],
): Promise<{ userId: string; groupIds: string[] }[]> {
  // A row of a group that is deleted counts: behind it there may be others.
  const { rows } = await q.query<{ user_id: string; id: string | null }>(
    `select asked.user_id, g.id from (select distinct unnest($1::text[]) as user_id) asked cross join lateral (
       select group_id from group_members where user_id = asked.user_id limit $2) m
     left join lateral (select id from groups where id = m.group_id and deleted_at is null limit 1) g on true`,
    [[...userIds], FEW_GROUPS + 1],
  );
  const found = new Map<string, (string | null)[]>(userIds.map((userId) => [userId, []]));
  for (const { user_id: userId, id } of rows) found.get(userId)?.push(id);
  for (const [userId, ids] of found) {
    if (ids.length > FEW_GROUPS) found.set(userId, await readMostActive(q, userId, MOST_OF_USER));
  }
  return userIds.map((userId) => ({ userId, groupIds: (found.get(userId) ?? []).filter((id) => id !== null) }));
}

export interface NewGroup {
  id: string;
  kind: Group['kind'];
  name: string | null;
  /** Of a direct group, the same for the same two users; no two groups have the same. */
  directKey: string | null;
  epoch: string;
  createdBy: string;
  custom: JsonObject | null;
}

/** Throws a unique violation where the id or the two of a direct group have a group already. Answers when it was created. */
export async function insertGroup(tx: Queryable, group: NewGroup): Promise<Date> {
  const { rows } = await tx.query<{ created_at: Date }>(
    `insert into groups (id, kind, name, direct_key, epoch, created_by, custom) values ($1, $2, $3, $4, $5, $6, $7)
     returning created_at`,
    [
      group.id,
      group.kind,
      group.name,
      group.directKey,
      group.epoch,
      group.createdBy,
      group.custom && JSON.stringify(group.custom),
    ],
  );
  return rows[0]?.created_at ?? new Date();
}

/** A group that stands in the way of a new one. */
export interface ExistingGroup extends Record<string, unknown> {
  id: string;
  kind: Group['kind'];
  created_by: string | null;
  is_deleted: boolean;
  /** It is the direct group of the same two users. */
  is_theirs: boolean;
}

/** The group of these two users, or else the one with this id, deleted or not. */
export async function findExisting(
  q: Queryable,
  { id, directKey }: { id: string; directKey: string | null },
): Promise<ExistingGroup | undefined> {
  const { rows } = await q.query<ExistingGroup>(
    `select id, kind, created_by, deleted_at is not null as is_deleted, coalesce(direct_key = $1, false) as is_theirs
     from groups where direct_key = $1 or id = $2 order by is_theirs desc limit 1`,
    [directKey, id],
  );
  return rows[0];
}

/** The settings of a group that may be changed. */
export interface GroupSettings {
  name: string | null;
  retentionDays: number | null;
  custom: JsonObject | null;
}

export async function writeSettings(tx: Queryable, groupId: string, settings: GroupSettings): Promise<void> {
  await tx.query('update groups set name = $2, retention_days = $3, custom = $4 where id = $1', [
    groupId,
    settings.name,
    settings.retentionDays,
    settings.custom && JSON.stringify(settings.custom),
  ]);
}

/** Its history stays; the two of a direct group may make another one. */
export async function markGroupDeleted(tx: Queryable, groupId: string): Promise<void> {
  await tx.query('update groups set deleted_at = now(), direct_key = null where id = $1', [groupId]);
}
