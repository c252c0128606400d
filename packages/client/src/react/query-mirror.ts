import type { QueryCacheNotifyEvent, QueryClient, QueryKey } from '@tanstack/react-query';
import type { ClientError, GroupcastClient, GroupSummary, MessagesHandle, Readable } from '../index.ts';
import { type MessagePage, type MessagePages, toPages } from './message-pages.ts';
import { groupcastKeys } from './query-keys.ts';

/**
 * Queries neither go stale, nor wait for the browser to be online, nor try again: the client does all of that. Its snapshots share
 * unchanged objects already.
 */
export const QUERY_DEFAULTS = {
  staleTime: Number.POSITIVE_INFINITY,
  networkMode: 'always',
  retry: false,
  structuralSharing: false,
} as const;

/**
 * Keeps a query cache equal to a client's state. The client is the owner: it orders, deduplicates and catches up, and the cache has
 * nothing but the client's latest snapshots. An event changes the entry of its own group, on screen or not; entries stay current until
 * the cache lets go of them (`gcTime`).
 */
export interface QueryMirror {
  /** Returns a function that stops it; it may be started again. */
  start: () => () => void;
  /** Reads the list for its query, again if it was read before. Rejects with a `ClientError`. */
  readGroups: () => Promise<readonly GroupSummary[]>;
  /** Reads a group's newest page (`null`), or the page below a `seq`, for its query. Rejects with a `ClientError`. */
  readMessages: (groupId: string, before: number | null) => Promise<MessagePage>;
  /** The list as far as it is known, without a request. */
  knownGroups: () => readonly GroupSummary[] | undefined;
  knownMessages: (groupId: string) => MessagePages | undefined;
}

export function createQueryMirror(client: GroupcastClient, queries: QueryClient): QueryMirror {
  const watched = new Map<string, () => void>();
  const [root, scope] = groupcastKeys.all(client);

  const isCached = (key: QueryKey): boolean => queries.getQueryState(key) !== undefined;

  function knownGroups(): readonly GroupSummary[] | undefined {
    const { status, groups } = client.groups.getSnapshot();
    return status === 'ready' ? groups : undefined;
  }

  function knownMessages(groupId: string): MessagePages | undefined {
    const snapshot = client.messages(groupId).getSnapshot();
    const before = queries.getQueryData<MessagePages>(groupcastKeys.messages(client, groupId));
    return snapshot.status === 'ready' ? toPages(snapshot, before?.pageParams ?? [null], before?.pages) : undefined;
  }

  function mirrorGroups(): void {
    const key = groupcastKeys.groups(client);
    const groups = knownGroups();
    if (groups && isCached(key) && queries.getQueryData(key) !== groups) queries.setQueryData(key, groups);
  }

  function mirrorMessages(groupId: string): void {
    const key = groupcastKeys.messages(client, groupId);
    const pages = isCached(key) && knownMessages(groupId);
    if (pages && !isSame(queries.getQueryData<MessagePages>(key), pages)) queries.setQueryData(key, pages);
  }

  function watch(groupId: string): MessagesHandle {
    const messages = client.messages(groupId);
    if (!watched.has(groupId)) {
      watched.set(
        groupId,
        messages.subscribe(() => mirrorMessages(groupId)),
      );
    }
    return messages;
  }

  /** The subject of an entry of the cache, if it is the client's: the list, or a group's messages. */
  function subjectOf({ queryKey }: { queryKey: readonly unknown[] }): { groupId?: string } | undefined {
    const [first, second, kind, groupId] = queryKey;
    if (first !== root || second !== scope) return undefined;
    if (kind === 'groups') return {};
    return kind === 'messages' && typeof groupId === 'string' ? { groupId } : undefined;
  }

  function onCacheEvent(event: QueryCacheNotifyEvent): void {
    const subject = subjectOf(event.query);
    if (!subject) return;
    const { groupId } = subject;
    if (event.type === 'added' && groupId !== undefined) watch(groupId);
    if (event.type === 'removed' && groupId !== undefined) {
      watched.get(groupId)?.();
      watched.delete(groupId);
    }
    // A fetch ends with the pages of the moment when it began.
    if (event.type === 'updated' && event.action.type === 'success' && event.action.manual !== true) {
      if (groupId === undefined) mirrorGroups();
      else mirrorMessages(groupId);
    }
  }

  return {
    start() {
      const stops = [queries.getQueryCache().subscribe(onCacheEvent), client.groups.subscribe(mirrorGroups)];
      for (const query of queries.getQueryCache().findAll({ queryKey: [root, scope] })) {
        const groupId = subjectOf(query)?.groupId;
        if (groupId === undefined) continue;
        watch(groupId);
        mirrorMessages(groupId);
      }
      mirrorGroups();
      return () => {
        for (const stop of [...stops, ...watched.values()]) stop();
        watched.clear();
      };
    },
    async readGroups() {
      // Before the first connection the client reads the list by itself.
      if (client.groups.getSnapshot().status === 'loading') await settled(client.groups);
      else await client.groups.refresh();
      const { groups, error } = client.groups.getSnapshot();
      if (error) throw error;
      return groups;
    },
    async readMessages(groupId, before) {
      const messages = watch(groupId);
      if (before !== null) await messages.loadEarlier();
      else if (messages.getSnapshot().status === 'loading') await settled(messages);
      else await messages.reload();
      const snapshot = messages.getSnapshot();
      if (snapshot.error) throw snapshot.error;
      const { pages } = toPages(snapshot, before === null ? [null] : [null, before]);
      return pages.at(-1) ?? { messages: [], before: null };
    },
    knownGroups,
    knownMessages,
  };
}

type Snapshot = { status: string; error: ClientError | null };

/** Resolves once the first answer is there, or has failed to come. */
async function settled(readable: Readable<Snapshot>): Promise<void> {
  await new Promise<void>((resolve) => {
    const stop = readable.subscribe(() => {
      if (readable.getSnapshot().status === 'loading') return;
      stop();
      resolve();
    });
  });
}

function isSame(a: MessagePages | undefined, b: MessagePages): boolean {
  return a?.pages.length === b.pages.length && b.pages.every((page, index) => page === a.pages[index]);
}
