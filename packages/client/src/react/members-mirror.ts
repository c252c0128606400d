import { isAfter } from '@groupcast/shared/positions';
import type { QueryClient } from '@tanstack/react-query';
import { createRecording, type Recording } from '../base/recording.ts';
import type { GroupcastClient, GroupEvent, GroupMember, Position } from '../index.ts';
import { groupcastKeys } from './query-keys.ts';

/** The first members of a group, a thousand at most, at a position of its events. */
export interface Members {
  members: readonly GroupMember[];
  /** There are further ones, who joined later. */
  more: boolean;
  position: Position;
}

/** Applies the events of groups to the members that a query cache has of them. */
export interface MembersMirror {
  /** Returns a function that stops it; it may be started again. */
  start: () => () => void;
  /** Reads the members for their query; the answer includes changes that came meanwhile. Rejects with a `ClientError`. */
  read: (groupId: string) => Promise<Members>;
}

/** Most members that are kept of one group. A screen shows fewer, and a group may have a hundred thousand. */
const MAX_MEMBERS = 1_000;
/** Most that the API answers at once. */
const MEMBERS_PER_PAGE = 500;

/** Time over which the members' requests for the name of a new member are spread, per member, in milliseconds. */
const SPREAD_PER_MEMBER_MS = 2;
const MIN_SPREAD_MS = 1_000;

export function createMembersMirror(
  client: GroupcastClient,
  queries: QueryClient,
  { random = Math.random }: { random?: () => number } = {},
): MembersMirror {
  const recordings = new Map<string, Recording>();
  const readings = new Map<string, ReturnType<typeof setTimeout>>();
  /** How often a group was started over. */
  const resets = new Map<string, number>();
  /** Groups that the user is not in, as far as is known, and whose members somebody looks at. */
  const away = new Set<string>();

  /** Reads the members again, because events do not tell the name of a new member, the new owner, or who moves up. */
  function readAgain(groupId: string): void {
    if (readings.has(groupId)) return;
    // All members have the same reason in the same moment.
    const memberCount = client.group(groupId).getSnapshot()?.memberCount ?? 0;
    const spreadMs = Math.max(MIN_SPREAD_MS, memberCount * SPREAD_PER_MEMBER_MS);
    const queryKey = groupcastKeys.members(client, groupId);
    const again = (): void => {
      readings.delete(groupId);
      void queries.invalidateQueries({ queryKey, exact: true });
    };
    readings.set(groupId, setTimeout(again, random() * spreadMs));
  }

  function onReset({ groupId }: { groupId: string }): void {
    resets.set(groupId, (resets.get(groupId) ?? 0) + 1);
    readAgain(groupId);
  }

  function onLeft({ groupId }: { groupId: string }): void {
    if (queries.getQueryState(groupcastKeys.members(client, groupId))) away.add(groupId);
  }

  /** Members come and go while the user is not in the group, and no event says so. */
  function onGroups(): void {
    for (const groupId of away) if (client.group(groupId).getSnapshot() && away.delete(groupId)) onReset({ groupId });
  }

  function onEvent(event: GroupEvent): void {
    recordings.get(event.groupId)?.add([event]);
    const key = groupcastKeys.members(client, event.groupId);
    const before = queries.getQueryData<Members>(key);
    if (!before) return;
    const now = withMemberEvents(before, [event]);
    if (now === before) return;
    queries.setQueryData(key, now);
    if (isOutdated(now, before)) readAgain(event.groupId);
  }

  return {
    start() {
      const stops = [
        client.on('event', onEvent),
        client.on('reset', onReset),
        client.on('left', onLeft),
        client.groups.subscribe(onGroups),
      ];
      return () => {
        for (const stop of stops) stop();
        for (const timer of readings.values()) clearTimeout(timer);
        readings.clear();
      };
    },
    async read(groupId) {
      const recording = recordings.get(groupId) ?? createRecording();
      recordings.set(groupId, recording);
      const recorded = recording.start();
      const resetsBefore = resets.get(groupId);
      try {
        const read = await readMembers(client.api, groupId);
        const now = withMemberEvents(read, recorded.stop());
        // A query that is read for the first time is not begun again in the middle, and the group may have been started over since.
        if (isOutdated(now, read) || resets.get(groupId) !== resetsBefore) readAgain(groupId);
        return now;
      } catch (cause) {
        if (!client.group(groupId).getSnapshot()) away.add(groupId);
        throw cause;
      } finally {
        recorded.stop();
      }
    },
  };
}

/**
 * Reads the first members: a hundred come with the group, and where there are more they are read by pages. These are of different
 * moments. The position is the first one's: for each user the last event after it decides, whether a page has known it already or not.
 */
async function readMembers(api: GroupcastClient['api'], groupId: string): Promise<Members> {
  const { members, memberCount, position } = await api.group(groupId);
  if (memberCount <= members.length)
    return { members: members.slice(0, MAX_MEMBERS), more: members.length > MAX_MEMBERS, position };
  const first = await api.members(groupId, { limit: MEMBERS_PER_PAGE });
  const found = new Map(first.members.map((member) => [member.userId, member]));
  let cursor = first.nextCursor;
  for (let read = MEMBERS_PER_PAGE; cursor !== undefined && read < MAX_MEMBERS; read += MEMBERS_PER_PAGE) {
    const page = await api.members(groupId, { limit: MEMBERS_PER_PAGE, cursor });
    for (const member of page.members) {
      // A member of two pages has left and come back meanwhile, and is behind the others now.
      found.delete(member.userId);
      found.set(member.userId, member);
    }
    cursor = page.nextCursor;
  }
  return { members: [...found.values()], more: cursor !== undefined, position: first.position };
}

/** The members after these events; the same object where they change nothing, or were known already. */
export function withMemberEvents(before: Members, events: readonly GroupEvent[]): Members {
  let now = before;
  for (const event of events) {
    const { epoch, seq } = event;
    const isMemberChange = event.event === 'member-added' || event.event === 'member-removed';
    if (!isMemberChange || !isAfter(event, now.position)) continue;
    const ids = new Set(userIdsOf(event));
    const changed = event.event === 'member-added' ? withAdded(now, ids) : withoutRemoved(now, ids);
    now = { ...changed, position: { epoch, seq } };
  }
  return now;
}

/** New members come last; where there are further ones already, behind those. */
function withAdded(now: Members, ids: ReadonlySet<string>): Members {
  const known = new Set(now.members.map(({ userId }) => userId));
  const added = Array.from(ids)
    .filter((userId) => !known.has(userId))
    .map((userId) => ({ userId, role: 'member' as const }));
  if (added.length === 0 || now.more) return now;
  const members = [...now.members, ...added];
  return { ...now, members: members.slice(0, MAX_MEMBERS), more: members.length > MAX_MEMBERS };
}

function withoutRemoved(now: Members, ids: ReadonlySet<string>): Members {
  const members = now.members.filter(({ userId }) => !ids.has(userId));
  return members.length === now.members.length ? now : { ...now, members };
}

function userIdsOf(event: GroupEvent): string[] {
  const ids = event['userIds'];
  return Array.isArray(ids) ? ids.filter((id) => typeof id === 'string') : [];
}

/**
 * Whether there is something to read after a change of the first members: a name is missing, others move up, or the owner, who is one of
 * them, has left. Nothing is read where people join and leave behind them.
 */
function isOutdated(now: Members, before: Members): boolean {
  if (now.members === before.members) return false;
  const hasRoom = now.more && now.members.length < MAX_MEMBERS;
  return (
    hasRoom || now.members.some(({ name }) => name === undefined) || !now.members.some(({ role }) => role === 'owner')
  );
}
