import type { GroupEvent, JsonObject, Message, Position } from '@groupcast/shared';
import { io as socketIo } from 'socket.io-client';
import { createApi, type GroupId } from './api/api.ts';
import { createUserTokens } from './api/user-token.ts';
import { idOf, parseMessage } from './base/parse.ts';
import { createKeyedTopic, createTopic } from './base/store.ts';
import { createConnection } from './connection/connection.ts';
import { createConnectionTokens } from './connection/connection-token.ts';
import { createPolling } from './connection/polling.ts';
import { createRelaySession } from './connection/relay-session.ts';
import {
  consoleLogger,
  defaultEventTarget,
  hasWindow,
  type Moment,
  millisecondsSince,
  systemClock,
  watchBrowser,
} from './environment.ts';
import { ClientError } from './errors.ts';
import { createCursorReport } from './groups/cursors.ts';
import { createGroups } from './groups/groups.ts';
import { createReading } from './groups/reading.ts';
import { createCatchUp } from './inbox/catch-up.ts';
import { createInbox } from './inbox/inbox.ts';
import { asEvent } from './messages/message-list.ts';
import { createMessageView, type MessageView } from './messages/messages.ts';
import { createOutgoing, newClientMessageId } from './messages/outgoing.ts';
import type { ClientEventMap, ClientOptions, ClientStats, GroupcastClient, GroupHandle, SendInput } from './types.ts';

/** Absences longer than this may have brought groups that neither the token nor the positions name. */
const LONG_ABSENCE_MS = 15_000;
const POLL_INTERVAL_MS = 3_000;
/** Many clients have the same reason to read the list again; within this time each picks its moment. */
const LIST_SPREAD_MS = 2_000;

/** Why a client that was made on a server has not connected. */
const NO_WINDOW = {
  code: 'NO_WINDOW',
  message: 'there is no window here, as on a server: call connect(), or pass autoConnect: true',
};

/**
 * Makes a client and lets it connect in the next turn, where there is a window or `autoConnect` is true. Throws where an option is
 * missing.
 */
export function createClient(options: ClientOptions): GroupcastClient {
  if (typeof options.apiUrl !== 'string' || typeof options.getToken !== 'function') {
    throw new TypeError('unable to create a client; it needs apiUrl and getToken');
  }
  const clock = options.clock ?? systemClock;
  const log = options.logger ?? consoleLogger;
  const random = options.random ?? Math.random;
  const autoConnect = options.autoConnect ?? hasWindow();
  const holdMs = options.gapHoldMs ?? 150;
  const onListenerError = (error: unknown): void => log.error('a listener failed', { error });
  const topics = {
    event: createTopic<GroupEvent>(onListenerError),
    transient: createTopic<ClientEventMap['transient']>(onListenerError),
    reset: createTopic<ClientEventMap['reset']>(onListenerError),
    left: createTopic<ClientEventMap['left']>(onListenerError),
  };
  const groupEvents = createKeyedTopic<GroupEvent>(onListenerError);
  const views = new Map<string, MessageView>();
  const counts = { live: 0, recovered: 0, fetched: 0, missedFoundByPoll: 0 };
  const inbox = createInbox();
  let closed = false;
  let downAt: Moment | undefined;
  let firstList: Promise<unknown> | undefined;

  const userTokens = createUserTokens(options.getToken, clock);
  const api = createApi({
    apiUrl: options.apiUrl.replace(/\/$/, ''),
    tokens: userTokens,
    fetch: options.fetch ?? ((...request) => globalThis.fetch(...request)),
    clock,
  });
  const tokens = createConnectionTokens({ fetchToken: api.connectionToken, relayUrl: options.relayUrl, clock, random });
  const me = (): string | undefined => tokens.userId ?? userTokens.userId;

  // From the inbox to everybody who shows something

  /** `due` are the next events of one group, in order. */
  function deliver(groupId: string, due: readonly GroupEvent[], source: 'live' | 'recovered' | 'fetched'): void {
    if (due.length === 0 || closed) return;
    counts[source] += due.length;
    const { state } = connection.getSnapshot();
    const isPolling = state === 'degraded-polling' || !session.live;
    if (source === 'fetched' && isPolling) counts.missedFoundByPoll += due.length;
    updateView(groupId, () => {
      for (const event of due) {
        const message = event.event === 'new-message' ? parseMessage(event) : undefined;
        if (message?.clientMessageId !== undefined) outgoing.settle(message);
      }
      views.get(groupId)?.apply(due);
    });
    groups.apply(groupId, due);
    for (const event of due) {
      topics.event.emit(event);
      groupEvents.emit(groupId, event);
    }
    const last = due.at(-1);
    if (last) cursors.applied(groupId, last.seq);
  }

  function updateView(groupId: string, work: () => void): void {
    const view = views.get(groupId);
    if (view) view.update(work);
    else work();
  }

  function reset(groupId: string, position: Position): void {
    const due = inbox.reset(groupId, position);
    cursors.forget(groupId);
    void views.get(groupId)?.reload();
    groups.refreshWithin(random() * LIST_SPREAD_MS);
    topics.reset.emit({ groupId, position });
    deliver(groupId, due, 'fetched');
  }

  function drop(groupId: string): void {
    inbox.close(groupId);
    cursors.forget(groupId);
    groups.remove(groupId);
    catchUp.forget(groupId);
    views.get(groupId)?.leave();
    topics.left.emit({ groupId });
  }

  function open(groupId: string, position: Position): void {
    views.get(groupId)?.startsAt(position);
    deliver(groupId, inbox.open(groupId, position), 'live');
  }

  function begin(groupId: string, position: Position): void {
    if (inbox.lagOf(groupId) === 'unopened') open(groupId, position);
    else inbox.head(groupId, position);
    catchUp.check(groupId, connection.link ? undefined : 'now');
  }

  function viewOf(groupId: string): MessageView {
    const known = views.get(groupId);
    if (known) return known;
    const view = createMessageView({
      groupId,
      api,
      pageSize: Math.min(options.pageSize ?? 50, 200),
      keyOf: outgoing.keyOf,
      pending: () => outgoing.pendingOf(groupId),
      onPage: (page) => page.forEach(outgoing.settle),
      clock,
      random,
      onListenerError,
    });
    views.set(groupId, view);
    return view;
  }

  // The parts

  const groups = createGroups({
    api,
    me,
    onListed: begin,
    onRead: () => session.joinMissing(),
    onGone: drop,
    clock,
    random,
    log,
    onListenerError,
  });
  const outgoing = createOutgoing({
    send: api.send,
    giveUpAfterMs: options.sendTimeoutMs ?? 120_000,
    onChange: (groupId) => views.get(groupId)?.refreshPending(),
    onSaved: (message: Message, settle) =>
      updateView(message.groupId, () => {
        settle();
        views.get(message.groupId)?.apply([asEvent(message)]);
      }),
    clock,
    random,
    log,
  });
  const catchUp = createCatchUp({
    holdMs,
    lagOf: inbox.lagOf,
    positionOf: inbox.positionOf,
    askRelay: (groupId, after) => session.askRelay(groupId, after),
    askApi: api.events,
    onPage: (groupId, after, page, source) =>
      deliver(groupId, inbox.page(groupId, after, page), source === 'relay' ? 'recovered' : 'fetched'),
    onReset: reset,
    onSettle: inbox.settle,
    onRefused(groupId, { code }) {
      log.debug('the API refuses a group', { groupId, code });
      if (code === 'NOT_FOUND' || code === 'NOT_A_MEMBER') groups.refreshWithin(random() * LIST_SPREAD_MS);
    },
    onBusy: showProgress,
    clock,
    random,
    log,
  });
  const session = createRelaySession({
    inbox,
    link: () => connection.link,
    isPolling: () => connection.getSnapshot().state === 'degraded-polling',
    holdMs,
    open,
    deliver: (groupId, due, live) => deliver(groupId, due, live ? 'live' : 'recovered'),
    check: catchUp.check,
    force: catchUp.force,
    onUnclear: () => groups.refreshWithin(random() * LIST_SPREAD_MS),
    onLeft: drop,
    onGreeted: () => showProgress(catchUp.busy),
    onLive,
    onTransient: topics.transient.emit,
    clock,
    log,
  });
  const connection = createConnection({
    tokens,
    handshake: session.handshake,
    ready: async () => (firstList ??= groups.refresh()),
    idleReason: options.autoConnect === undefined && !autoConnect ? NO_WINDOW : null,
    io: options.io ?? socketIo,
    transports: options.transports ?? ['websocket', 'polling'],
    connectTimeoutMs: options.connectTimeoutMs ?? 10_000,
    reconnectMinMs: options.reconnectMinMs ?? 1_500,
    reconnectMaxMs: options.reconnectMaxMs ?? 10_000,
    clock,
    random,
    log,
    onListenerError,
    onOpen: onConnected,
    onDown(heardAt) {
      downAt = heardAt;
      session.down();
      polling.start();
    },
    onEvent: session.onEvent,
  });
  const polling = createPolling({
    afterMs: options.pollAfterMs ?? 10_000,
    intervalMs: options.pollIntervalMs ?? POLL_INTERVAL_MS,
    async poll() {
      await groups.refresh();
      return groups.getSnapshot().error;
    },
    onOutcome(answered) {
      connection.move(answered ? 'polled' : 'poll-failed');
      if (answered) hurry();
    },
    clock,
    random,
  });
  const cursors = createCursorReport({
    report: (reported) => connection.link?.ask('update-cursors', { cursors: reported }),
    markRead: api.markRead,
    intervalMs: options.cursorIntervalMs ?? 1_000,
    clock,
    random,
    log,
  });

  const reading = createReading({ groups, cursors, markRead: api.markRead });

  function onConnected(): void {
    polling.stop();
    session.opened();
    cursors.reconnected();
    if (downAt !== undefined && millisecondsSince(downAt) > LONG_ABSENCE_MS)
      groups.refreshWithin(random() * LIST_SPREAD_MS);
    hurry();
  }

  /** A crowd hears it in one moment: each begins to poll in its own. */
  function onLive(live: boolean): void {
    if (live) {
      polling.stop();
      groups.refreshWithin(random() * LIST_SPREAD_MS);
    } else polling.start(random() * (options.pollIntervalMs ?? POLL_INTERVAL_MS));
    showProgress(catchUp.busy);
  }

  /** What waits for its next try may try now. */
  function hurry(): void {
    catchUp.hurry();
    outgoing.hurry();
    groups.hurry();
    for (const view of views.values()) view.hurry();
  }

  function showProgress(busy: number): void {
    if (!session.greeted) return;
    connection.move(busy > 0 || !session.live ? 'behind' : 'caught-up');
    if (busy === 0) session.joinMissing();
  }

  connection.subscribe(() => {
    const { state } = connection.getSnapshot();
    if (state === 'ended') polling.stop();
  });
  let isOffline = false;
  let onlineTimer: unknown;
  const stopWatching = watchBrowser(options.eventTarget ?? defaultEventTarget(), {
    wake() {
      connection.wake();
      hurry();
    },
    online() {
      // What was asked without a network gets no answer, and would be waited for by everybody who asks the same.
      if (isOffline) api.abandon();
      isOffline = false;
      clock.clearTimeout(onlineTimer);
      // In a turn of its own, when everybody knows that it was given up.
      onlineTimer = clock.setTimeout(() => {
        connection.online();
        hurry();
      }, 0);
    },
    offline() {
      isOffline = true;
      connection.offline();
    },
  });

  function connect(): void {
    if (closed) throw new ClientError('CLOSED', 'unable to connect; the client was closed');
    const { state } = connection.getSnapshot();
    if (state === 'ended' && groups.getSnapshot().status !== 'ready') firstList = undefined;
    connection.start();
    connection.wake();
    if (state === 'idle' || state === 'ended') polling.start();
  }

  function markRead(id: GroupId, seq?: number): void {
    const groupId = idOf(id);
    const upTo = seq ?? inbox.positionOf(groupId)?.seq;
    if (upTo !== undefined && !closed) reading.mark(groupId, upTo);
  }

  function send(id: GroupId, message: Parameters<GroupcastClient['send']>[1]): ReturnType<GroupcastClient['send']> {
    const input: SendInput = typeof message === 'string' ? { content: message } : message;
    const { content, clientMessageId = newClientMessageId() } = input;
    // As they are now, and as they will be saved: what the application does to its objects later changes no message.
    const attachments = input.attachments?.map((one) => JSON.parse(JSON.stringify(one)) as JsonObject);
    return outgoing.send(idOf(id), { content, attachments, clientMessageId });
  }

  function group(id: GroupId): GroupHandle {
    const groupId = idOf(id);
    return {
      id: groupId,
      getSnapshot: () => groups.get(groupId),
      subscribe: (listener) => groups.subscribeTo(groupId, listener),
      onEvent: (listener) => groupEvents.subscribe(groupId, listener),
      get messages() {
        return viewOf(groupId);
      },
      send: (message) => send(groupId, message),
      markRead: (seq) => markRead(groupId, seq),
    };
  }

  function close(): void {
    if (closed) return;
    closed = true;
    connection.end({ code: 'CLOSED', message: 'the client was closed' });
    stopWatching();
    clock.clearTimeout(onlineTimer);
    polling.stop();
    catchUp.stop();
    session.stop();
    cursors.stop();
    outgoing.stop();
    groups.stop();
    api.stop();
    connection.clear();
    groupEvents.clear();
    for (const topic of Object.values(topics)) topic.clear();
    for (const view of views.values()) view.clear();
    views.clear();
  }

  if (autoConnect) {
    queueMicrotask(() => {
      if (!closed) connect();
    });
  }

  return {
    get userId() {
      return me();
    },
    connection: { getSnapshot: connection.getSnapshot, subscribe: connection.subscribe },
    groups: { getSnapshot: groups.getSnapshot, subscribe: groups.subscribe, refresh: groups.refresh },
    unread: groups.unread,
    api,
    stats: (): ClientStats => ({ ...counts, duplicates: inbox.duplicates }),
    group,
    messages: (id) => viewOf(idOf(id)),
    send,
    retry: outgoing.retry,
    discard: outgoing.discard,
    markRead,
    on: (name, listener) => topics[name].subscribe(listener as never),
    connect,
    close,
  };
}
