import { randomUUID } from 'node:crypto';
import { type Group, GroupcastError, type Position } from '@groupcast/shared';
import type { Database, Queryable } from '../db/database.ts';
import type { EventWriter } from '../events/event-store.ts';
import type { NewEvent } from '../events/stored-event.ts';
import type { InvitePolicy } from '../limits.ts';
import type { Dispatcher } from '../outbox/dispatcher.ts';
import type { GroupLimits } from './group-limits.ts';
import { contactsAmong } from './invitation-store.ts';
import { insertMembers, passOwnership } from './member-store.ts';

export interface GroupDeps {
  db: Database;
  dispatcher: Pick<Dispatcher, 'wake' | 'whenDispatched'>;
  events: EventWriter;
  limits: GroupLimits;
  invites: InvitePolicy;
}

/** How long a change of members waits for live connections to follow, in milliseconds. */
export const APPLY_TIMEOUT_MS = 2_000;

type EventWithoutId = Omit<NewEvent, 'id'>;

/** Writes the event at the next position of the group, which the caller has locked. */
export async function recordEvent(
  { events }: GroupDeps,
  tx: Queryable,
  groupId: string,
  event: EventWithoutId,
): Promise<Position> {
  return events.append(tx, groupId, { ...event, id: randomUUID() });
}

/** Divides people into those whom `userId` may put into a group and those who have to be asked. Throws where either are too many. */
export async function splitByPolicy(
  { limits, invites }: GroupDeps,
  tx: Queryable,
  userId: string,
  people: readonly string[],
): Promise<{ members: string[]; invited: string[] }> {
  await limits.countChanges(tx, userId, people.length);
  const known =
    invites === 'contacts' ? await contactsAmong(tx, userId, people) : new Set(invites === 'open' ? people : []);
  const members = people.filter((id) => known.has(id));
  const invited = people.filter((id) => !known.has(id));
  if (members.length > 0) await limits.assertPairs(tx, userId, members);
  if (invited.length > 0) await limits.assertInvitations(tx, userId, invited);
  return { members, invited };
}

/** `invited` is named where there are any: people who were asked, and are not members yet. */
export const withInvited = (invited: readonly string[]): { invited?: string[] } =>
  invited.length > 0 ? { invited: [...invited] } : {};

/**
 * Makes a user a member at their own wish, unless they are one already. The caller has locked the group. A group that has no owner, because
 * its last member had left, has one afterwards; only one that is `open` to everybody stays without.
 */
export async function joinGroup(
  deps: GroupDeps,
  tx: Queryable,
  groupId: string,
  { userId, addedBy, open = false }: { userId: string; addedBy: string; open?: boolean },
): Promise<void> {
  const added = await insertMembers(tx, groupId, [userId], 'member', null);
  if (added.length === 0) return;
  if (!open) await passOwnership(tx, groupId);
  const payload = { userIds: added, addedBy };
  await recordEvent(deps, tx, groupId, { type: 'member-added', payload, effect: { add: added } });
}

export function assertGroupKind(kind: Group['kind'], what: string): void {
  if (kind === 'direct')
    throw new GroupcastError('FORBIDDEN', `unable to ${what} a direct group; its two members are fixed`);
}

export function assertOwner(role: string, what: string): void {
  if (role !== 'owner') throw new GroupcastError('FORBIDDEN', `unable to ${what}; only an owner may`);
}
