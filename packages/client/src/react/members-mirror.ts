import { isAfter } from '@groupcast/shared/positions';
import type { QueryClient } from '@tanstack/react-query';
import { createRecording, type Recording } from '../base/recording.ts';
import type { GroupcastClient, GroupEvent, GroupMember, Position } from '../index.ts';
import { groupcastKeys } from './query-keys.ts';

/** The members of a group, and the place in its events at which they were these. */
export interface Members {
  members: readonly GroupMember[];
  position: Position;
}

/** Keeps the members of the groups that a query cache knows equal to what the group's events say. */
export interface MembersMirror {
  /** Returns how to stop. May be started again. */
  start: () => () => void;
  /** For the query of a group's members. What changes while they are being read is in the answer. Rejects with a `ClientError`. */
  read: (groupId: string) => Promise<Members>;
}

/** Everybody in a group hears of a new member at once; each asks for the name at a moment of its own, this long per member. */
const SPREAD_PER_MEMBER_MS = 2;
const MIN_SPREAD_MS = 1_000;

export function createMembersMirror(client: GroupcastClient, queries: QueryClient): MembersMirror {
  const recordings = new Map<string, Recording>();
  const readings = new Map<string, ReturnType<typeof setTimeout>>();

  /** What events do not tell, such as the name of a new member or who is the owner now, is read again. */
  function readAgain(groupId: string, spreadMs: number): void {
    if (readings.has(groupId)) return;
    const queryKey = groupcastKeys.members(client, groupId);
    const again = (): void => {
      readings.delete(groupId);
      void queries.invalidateQueries({ queryKey, exact: true });
    };
    readings.set(groupId, setTimeout(again, Math.random() * spreadMs));
  }

  function onEvent(event: GroupEvent): void {
    recordings.get(event.groupId)?.add([event]);
    const key = groupcastKeys.members(client, event.groupId);
    const before = queries.getQueryData<Members>(key);
    if (!before) return;
    const now = withMemberEvents(before, [event]);
    if (now === before) return;
    queries.setQueryData(key, now);
    const spreadMs = Math.max(MIN_SPREAD_MS, now.members.length * SPREAD_PER_MEMBER_MS);
    if (isIncomplete(now)) readAgain(event.groupId, spreadMs);
  }

  return {
    start() {
      const stops = [
        client.on('event', onEvent),
        client.on('reset', ({ groupId }) => readAgain(groupId, MIN_SPREAD_MS)),
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
      try {
        const { members, position } = await client.api.group(groupId);
        return withMemberEvents({ members, position }, recorded.stop());
      } finally {
        recorded.stop();
      }
    },
  };
}

/** The members after these events; the same object where they change nothing, or were known already. */
export function withMemberEvents(before: Members, events: readonly GroupEvent[]): Members {
  let now = before;
  for (const event of events) {
    const { epoch, seq } = event;
    const isMemberChange = event.event === 'member-added' || event.event === 'member-removed';
    if (!isMemberChange || !isAfter(event, now.position)) continue;
    const ids = new Set(userIdsOf(event));
    const others = now.members.filter(({ userId }) => !ids.has(userId));
    const known = new Set(now.members.map(({ userId }) => userId));
    const added = Array.from(ids)
      .filter((userId) => !known.has(userId))
      .map((userId) => ({ userId, role: 'member' as const }));
    const members = event.event === 'member-added' ? [...now.members, ...added] : others;
    now = { members, position: { epoch, seq } };
  }
  return now;
}

function userIdsOf(event: GroupEvent): string[] {
  const ids = event['userIds'];
  return Array.isArray(ids) ? ids.filter((id) => typeof id === 'string') : [];
}

/** A name that nobody has told yet, or an owner who has left. */
function isIncomplete({ members }: Members): boolean {
  return members.some(({ name }) => name === undefined) || !members.some(({ role }) => role === 'owner');
}
