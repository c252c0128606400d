import {
  type InfiniteData,
  type UseInfiniteQueryResult,
  type UseMutationResult,
  type UseQueryResult,
  useInfiniteQuery,
  useMutation,
  useQuery,
} from '@tanstack/react-query';
import { useEffect, useMemo, useRef, useSyncExternalStore } from 'react';
import type {
  ClientError,
  ConnectionSnapshot,
  GroupcastClient,
  GroupEvent,
  GroupId,
  GroupSummary,
  Message,
  Readable,
  SendInput,
  ViewMessage,
} from '../index.ts';
import { useIsHydrated } from './hydration.ts';
import { keepRead } from './keep-read.ts';
import { type MessagePage, type MessagePages } from './message-pages.ts';
import { useGroupcastContext } from './provider.tsx';
import { beforeHydration, groupcastKeys } from './query-keys.ts';
import { QUERY_DEFAULTS } from './query-mirror.ts';

/** The client of the provider above: for everything that is not a hook. */
export function useGroupcast(): GroupcastClient {
  return useGroupcastContext().client;
}

/** `unknown` stands for the value on a server, and until a browser has taken over the page that was rendered there. */
export function useReadable<T>({ subscribe, getSnapshot }: Readable<T>, unknown: T): T {
  return useSyncExternalStore(subscribe, getSnapshot, () => unknown);
}

const NOT_STARTED: ConnectionSnapshot = { state: 'idle', reason: null };

/** The connection's state and, while it is not connected, why. */
export function useConnection(): ConnectionSnapshot {
  return useReadable(useGroupcast().connection, NOT_STARTED);
}

/** The user's groups, most recently active first. Every event of every group keeps it current. */
export function useGroups(): UseQueryResult<readonly GroupSummary[], ClientError> {
  const { client, mirror } = useGroupcastContext();
  const isHydrated = useIsHydrated();
  return useQuery<readonly GroupSummary[], ClientError>({
    ...QUERY_DEFAULTS,
    queryKey: isHydrated ? groupcastKeys.groups(client) : beforeHydration(client, 'groups'),
    queryFn: mirror.readGroups,
    initialData: () => (isHydrated ? mirror.knownGroups() : undefined),
    enabled: isHydrated,
  });
}

/** One group of the list; `undefined` while it is not known, or not the user's. */
export function useGroup(groupId: GroupId): GroupSummary | undefined {
  const client = useGroupcast();
  return useReadable<GroupSummary | undefined>(
    useMemo(() => client.group(groupId), [client, groupId]),
    undefined,
  );
}

/** Unread messages: of one group, or of all of them together. */
export function useUnread(groupId?: GroupId): number {
  const client = useGroupcast();
  return useReadable(
    useMemo(() => {
      if (groupId === undefined) return client.unread;
      const { subscribe, getSnapshot } = client.group(groupId);
      return { subscribe, getSnapshot: () => getSnapshot()?.unreadCount ?? 0 };
    }, [client, groupId]),
    0,
  );
}

export interface MessagesData extends InfiniteData<MessagePage, number | null> {
  /** All pages as one list, oldest first; own messages that are being sent come last. */
  messages: readonly ViewMessage[];
}

/**
 * A group's messages, by `seq`, the newest page first. `fetchNextPage()` puts the next older page in front, while there is one
 * (`hasNextPage`). New messages of the group are there at once, and own messages even before they are saved.
 */
export function useMessages(groupId: GroupId): UseInfiniteQueryResult<MessagesData, ClientError> {
  const { client, mirror } = useGroupcastContext();
  const isHydrated = useIsHydrated();
  const queryKey = groupcastKeys.messages(client, groupId);
  const [, , , id] = queryKey;
  return useInfiniteQuery<MessagePage, ClientError, MessagesData, readonly unknown[], number | null>({
    ...QUERY_DEFAULTS,
    queryKey: isHydrated ? queryKey : beforeHydration(client, 'messages'),
    queryFn: ({ pageParam }) => mirror.readMessages(id, pageParam),
    initialData: () => (isHydrated ? mirror.knownMessages(id) : undefined),
    enabled: isHydrated,
    initialPageParam: null,
    getNextPageParam: ({ before }) => before,
    select: withMessages,
  });
}

function withMessages({ pages, pageParams }: MessagePages): MessagesData {
  return { pages, pageParams, messages: pages.toReversed().flatMap((page) => page.messages) };
}

/**
 * Sends to a group. The message is shown at once as `sending`. The mutation succeeds when the message is saved, across reconnects, and
 * fails when the client gives up; then the row is `failed`, and the client's `retry` or `discard` goes on from there.
 */
export function useSendMessage(groupId: GroupId): UseMutationResult<Message, ClientError, string | SendInput> {
  const client = useGroupcast();
  return useMutation<Message, ClientError, string | SendInput>({
    mutationFn: async (message) => client.send(groupId, message).saved,
    networkMode: 'always',
    retry: false,
  });
}

/** Calls `listener` with each event of the group, once and in order, while mounted. It may be another function every time. */
export function useGroupEvents(groupId: GroupId, listener: (event: GroupEvent) => void): void {
  const client = useGroupcast();
  const latest = useRef(listener);
  useEffect(() => {
    latest.current = listener;
  });
  useEffect(() => client.group(groupId).onEvent((event) => latest.current(event)), [client, groupId]);
}

/**
 * Marks every message of the group as read while `isReading` is true and the page is visible. Pass `false` while the newest message is
 * out of sight.
 */
export function useMarkRead(groupId: GroupId, isReading = true): void {
  const client = useGroupcast();
  const unread = useUnread(groupId);
  useEffect(
    () => (isReading && unread > 0 ? keepRead(client, groupId, document) : undefined),
    [client, groupId, isReading, unread],
  );
}
