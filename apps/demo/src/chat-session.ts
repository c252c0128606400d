import type { GroupEvent, GroupPosition, GroupSummary } from '@groupcast/shared';
import { type Api, ApiError, type DemoUser } from './api.ts';
import { createCatchUp } from './catch-up.ts';
import { createChatStore } from './chat-state.ts';
import { coalesce } from './coalesce.ts';
import {
  byActivity,
  type GroupState,
  isBeyond,
  newGroup,
  parseGroupEvent,
  withEvent,
  withListing,
  withMessages,
} from './group-state.ts';
import { createOutgoing } from './outgoing.ts';
import { createReading } from './reading.ts';
import { type ConnectionView, createRelayConnection } from './relay-connection.ts';

const LIST_RETRY_MS = 2_000;

export interface ChatSessionDeps {
  me: DemoUser;
  api: Api;
  /** Is somebody looking at the page? */
  isVisible: () => boolean;
}

export type ChatSession = ReturnType<typeof createChatSession>;

/**
 * One person's chat: the relay brings events live, the API answers everything else, and positions join the two. An
 * event is applied only when it is the next one of its group; below that it is a copy and dropped, above it there is
 * a gap, and catch-up reads the API. So every group is complete and in order, on screen or not.
 */
export function createChatSession({ me, api, isVisible }: ChatSessionDeps) {
  const store = createChatStore();
  const reading = createReading({ store, api, isVisible });
  let stopped = false;
  let listRetry: ReturnType<typeof setTimeout> | undefined;

  const catchUp = createCatchUp({
    positionOf: (groupId) => store.group(groupId)?.position,
    fetchEvents: api.events,
    apply,
    onReset: (groupId) => startOver([groupId]),
    onRefused: () => void refreshGroups(),
  });
  const outgoing = createOutgoing({
    send: async ({ groupId, content, clientMessageId }) => (await api.send(groupId, content, clientMessageId)).message,
    onChange: (messages) => store.patch({ outgoing: messages }),
    onSent: (message) => store.changeGroup(message.groupId, (group) => withMessages(group, [message])),
  });
  const relay = createRelayConnection({
    fetchToken: api.connectionToken,
    onConnection: showConnection,
    onJoined,
    onLeft: startOver,
    onEvent: onLiveEvent,
  });

  // The list of groups

  const refreshGroups = coalesce(async () => {
    clearTimeout(listRetry);
    if (stopped) return;
    try {
      learn((await api.groups()).groups);
    } catch (error) {
      store.report(error);
      if (stopped || !(error instanceof ApiError && error.retryable)) return;
      listRetry = setTimeout(() => void refreshGroups(), error.retryAfterMs ?? LIST_RETRY_MS);
    }
  });

  /** Takes the list as the truth about which groups there are. Groups we know keep what events told us. */
  function learn(listed: GroupSummary[]): void {
    const before = store.get();
    const groups = new Map<string, GroupState>();
    for (const summary of listed) {
      const known = before.groups?.get(summary.id);
      groups.set(summary.id, known ? withListing(known, summary) : newGroup(summary));
    }
    store.patch({ groups });
    for (const { id, position } of listed) catchUpTo(id, position);
    const open = before.groups ? before.openGroupId : (byActivity(groups)[0]?.summary.id ?? null);
    reading.open(open !== null && groups.has(open) ? open : null);
  }

  /** Forgets groups, and asks which of them there still are. */
  function startOver(groupIds: string[]): void {
    for (const groupId of groupIds) store.forgetGroup(groupId);
    void refreshGroups();
  }

  function catchUpTo(groupId: string, head: GroupPosition['position']): void {
    const group = store.group(groupId);
    if (group && (head === null || isBeyond(head, group.position))) catchUp.request(groupId);
  }

  // What the relay says

  /** Once connected, whatever went wrong before is over. */
  function showConnection(connection: ConnectionView): void {
    store.patch(connection.state === 'connected' ? { connection, notice: null } : { connection });
  }

  /** A relay that does not know where a group stands (`null`) has restarted: then only the API can tell. */
  function onJoined(joined: GroupPosition[], first: boolean): void {
    const { groups } = store.get();
    const unknown = joined.some(({ groupId }) => !groups?.has(groupId));
    const missing = first && groups !== null && groups.size !== joined.length;
    if (unknown || missing) void refreshGroups();
    for (const { groupId, position } of joined) catchUpTo(groupId, position);
  }

  function onLiveEvent(name: string, payload: unknown): void {
    const event = parseGroupEvent(name, payload);
    if (!event) return;
    const group = store.group(event.groupId);
    if (!group) void refreshGroups();
    else if (event.epoch === group.position.epoch && event.seq === group.position.seq + 1) apply(event);
    else catchUpTo(event.groupId, event);
  }

  /** Applies what lies beyond the group's position, once. The API's pages have no holes, live events were checked. */
  function apply(event: GroupEvent): void {
    const group = store.group(event.groupId);
    if (!group || !isBeyond(event, group.position)) return;
    store.changeGroup(event.groupId, (current) => withEvent(current, event, me.id));
    if (event.event === 'new-message') {
      outgoing.settled(event['clientMessageId']);
      reading.markRead(event.groupId);
    } else if (/^(group|member)-/.test(event.event)) {
      void refreshGroups();
    }
  }

  return {
    me,
    getState: store.get,
    subscribe: store.subscribe,

    /** The list first, so that what the relay says about groups finds them known. */
    async start(): Promise<void> {
      await refreshGroups();
      if (!stopped) relay.start();
    },
    stop: (): void => {
      stopped = true;
      clearTimeout(listRetry);
      catchUp.stop();
      relay.stop();
    },

    openGroup: reading.open,
    loadHistory: reading.loadHistory,
    send: outgoing.add,
    retrySend: outgoing.retry,

    /** Rejects with an {@link ApiError}; when it resolves the new group is open. */
    createGroup: async (name: string, memberIds: string[]): Promise<void> => {
      const { group } = await api.createGroup(name, memberIds);
      await refreshGroups();
      reading.open(group.id);
    },

    dismissNotice: (): void => store.patch({ notice: null }),
    reconnect: relay.retryNow,
    /** Somebody looks at the page again. */
    onVisible: (): void => {
      const { openGroupId } = store.get();
      if (openGroupId !== null) reading.markRead(openGroupId);
    },
  };
}
