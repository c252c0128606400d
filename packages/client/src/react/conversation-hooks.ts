import { type UseMutationResult, type UseQueryResult, useMutation, useQuery } from '@tanstack/react-query';
import { useEffect, useMemo, useRef } from 'react';
import { fieldsOf, parseList, parseUserId } from '../base/parse.ts';
import type {
  ClientError,
  GroupId,
  Message,
  MessageChange,
  MessageNotification,
  PresenceSnapshot,
  ReceiptsHandle,
  ReceiptsSnapshot,
  UserId,
} from '../index.ts';
import { useGroupcast, useReadable } from './hooks.ts';
import { useIsHydrated } from './hydration.ts';
import { useGroupcastContext } from './provider.tsx';
import { beforeHydration, groupcastKeys } from './query-keys.ts';
import { QUERY_DEFAULTS } from './query-mirror.ts';

const NOBODY: readonly string[] = [];
const NO_RECEIPTS: ReceiptsSnapshot = {
  status: 'idle',
  memberCount: undefined,
  users: null,
  counts: null,
  reach: { received: 0, read: 0 },
};
const NO_PRESENCE: PresenceSnapshot = { status: 'unknown', online: new Set(), count: 0 };

export interface TypingState {
  /** User ids of the others who type, in the order in which they began. */
  typists: readonly string[];
  /** Call it on every input that leaves text in the field. */
  onInput: () => void;
  /** Call it when the field is empty again. Sending says so by itself, and so does unmounting. */
  stop: () => void;
}

/** The members who type in a group, and how to tell them that this user does. */
export function useTyping(groupId: GroupId): TypingState {
  const client = useGroupcast();
  const typing = useMemo(() => client.typing(groupId), [client, groupId]);
  const typists = useReadable(typing, NOBODY);
  useEffect(() => () => typing.stop(), [typing]);
  return useMemo(() => ({ typists, onInput: typing.start, stop: typing.stop }), [typists, typing]);
}

export type ReceiptsState = ReceiptsSnapshot & Pick<ReceiptsHandle, 'readBy' | 'receivedBy'>;

/** How far the members of a group have received and read. For ticks the `status` of a message is enough. */
export function useReceipts(groupId: GroupId): ReceiptsState {
  const client = useGroupcast();
  const receipts = useMemo(() => client.receipts(groupId), [client, groupId]);
  const snapshot = useReadable(receipts, NO_RECEIPTS);
  return useMemo(
    () => ({ ...snapshot, readBy: receipts.readBy, receivedBy: receipts.receivedBy }),
    [snapshot, receipts],
  );
}

/** The members of a group who are connected. */
export function usePresence(groupId: GroupId): PresenceSnapshot {
  const client = useGroupcast();
  return useReadable(
    useMemo(() => client.presence(groupId), [client, groupId]),
    NO_PRESENCE,
  );
}

/** Time between two readings of when users were last here, in milliseconds. */
const LAST_SEEN_MS = 60_000;
type LastSeen = ReadonlyMap<string, string>;

/**
 * When users were last connected, by user id, as ISO 8601 in UTC. It is read once a minute, and a user who is seen to go offline was here
 * until then. Users who hide it, and those one shares no group with, are left out.
 */
export function useLastSeen(userIds: readonly UserId[]): UseQueryResult<LastSeen, ClientError> {
  const { client, queries } = useGroupcastContext();
  const isHydrated = useIsHydrated();
  const key = groupcastKeys.lastSeen(client, userIds);
  const name = JSON.stringify(key);
  useEffect(() => {
    const queryKey = JSON.parse(name) as typeof key;
    const [, , , ...ids] = queryKey;
    return client.on('transient', ({ event, payload }) => {
      if (event !== 'presence') return;
      const gone = parseList(fieldsOf(payload)?.['offline'], parseUserId).filter((userId) => ids.includes(userId));
      if (gone.length === 0) return;
      const now = new Date().toISOString();
      queries.setQueryData<LastSeen>(
        queryKey,
        (before) =>
          before && new Map([...before, ...gone.flatMap((id) => (before.has(id) ? [[id, now] as const] : []))]),
      );
    });
  }, [client, queries, name]);
  return useQuery<LastSeen, ClientError>({
    ...QUERY_DEFAULTS,
    queryKey: isHydrated ? key : beforeHydration(client, 'last-seen'),
    async queryFn() {
      const before = queries.getQueryData<LastSeen>(key);
      const users = await client.api.users(userIds);
      const seen = users.flatMap(({ id, lastSeenAt }) =>
        lastSeenAt === undefined ? [] : [[id, latest(before?.get(id), lastSeenAt)] as const],
      );
      return new Map(seen);
    },
    enabled: isHydrated && userIds.length > 0,
    staleTime: LAST_SEEN_MS,
    refetchInterval: LAST_SEEN_MS,
  });
}

/** The later of two ISO 8601 times in UTC. */
function latest(a: string | undefined, b: string): string {
  return a !== undefined && a > b ? a : b;
}

/**
 * Calls `listener` with each message in a group that is not on screen, while mounted; the client is made with `notifications: true`. It
 * may be another function every time.
 */
export function useNotifications(listener: (notification: MessageNotification) => void): void {
  const client = useGroupcast();
  const last = useRef(listener);
  useEffect(() => {
    last.current = listener;
  });
  useEffect(() => client.notifications.subscribe((notification) => last.current(notification)), [client]);
}

/** Says that a group is on screen while the component is mounted and the page is visible, so that nothing notifies of it. */
export function useViewGroup(groupId: GroupId | null): void {
  const client = useGroupcast();
  useEffect(() => {
    if (groupId === null) return undefined;
    const view = (): void => client.viewGroup(document.visibilityState === 'visible' ? groupId : null);
    view();
    document.addEventListener('visibilitychange', view);
    return () => {
      document.removeEventListener('visibilitychange', view);
      client.viewGroup(null);
    };
  }, [client, groupId]);
}

export interface MessageEdit extends MessageChange {
  messageId: string;
}

/** Changes the text of an own message, or its `custom`. That is shown at once; a refusal, which fails the mutation, takes it back. */
export function useEditMessage(groupId: GroupId): UseMutationResult<Message, ClientError, MessageEdit> {
  const client = useGroupcast();
  return useMutation<Message, ClientError, MessageEdit>({
    mutationFn: async ({ messageId, ...change }) => client.editMessage(groupId, messageId, change),
    networkMode: 'always',
  });
}

/** Deletes a message; the mutation's input is its id. It is gone at once; a refusal, which fails the mutation, brings it back. */
export function useDeleteMessage(groupId: GroupId): UseMutationResult<void, ClientError, string> {
  const client = useGroupcast();
  return useMutation<void, ClientError, string>({
    mutationFn: async (messageId) => client.deleteMessage(groupId, messageId),
    networkMode: 'always',
  });
}
