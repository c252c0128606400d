import { isAfter } from '@groupcast/shared/positions';
import type { QueryClient } from '@tanstack/react-query';
import { createRecording, type Recording } from '../base/recording.ts';
import type { GroupcastClient, GroupEvent, GroupMember, Position } from '../index.ts';
import { groupcastKeys } from './query-keys.ts';

/** The members of a group at a position of its events. */
export interface Members {
  members: readonly GroupMember[];
  position: Position;
}

/** Applies the events of groups to the members that a query cache has of them. */
export interface MembersMirror {
  /** Returns a function that stops it; it may be started again. */
  start: () => () => void;
  /** Reads the members for their query; the answer includes changes that came meanwhile. Rejects with a `ClientError`. */
  read: (groupId: string) => Promise<Members>;
}

/** Time over which the members' requests for the name of a new member are spread, per member, in milliseconds. */
const SPREAD_PER_MEMBER_MS = 2;
const MIN_SPREAD_MS = 1_000;

export function createMembersMirror(client: GroupcastClient, queries: QueryClient): MembersMirror {
  const recordings = new Map<string, Recording>();
  const readings = new Map<string, ReturnType<typeof setTimeout>>();

  /** Reads the members again, because events do not tell the name of a new member or the new owner. */
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

/** Whether a name is missing, or the owner has left. */
function isIncomplete({ members }: Members): boolean {
  return members.some(({ name }) => name === undefined) || !members.some(({ role }) => role === 'owner');
}
