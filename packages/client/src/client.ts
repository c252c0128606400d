import { io } from 'socket.io-client';
import type { Reach } from './api/answers.ts';
import { createApi } from './api/api.ts';
import { createUserTokens } from './api/user-token.ts';
import { followBrowser } from './connection/browser-signals.ts';
import { type ConnectionOptions, createConnection } from './connection/connection.ts';
import { createConnectionStatus } from './connection/connection-status.ts';
import { createConnectionTokens } from './connection/connection-token.ts';
import { createPeerSignal } from './connection/peer-signal.ts';
import { createPolling } from './connection/polling.ts';
import type { Ask } from './conversation/ask.ts';
import { createConversation } from './conversation/conversation.ts';
import { createDelivery } from './delivery.ts';
import { DOOR, openDoor } from './door.ts';
import { consoleLogger, defaultEventTarget, hasWindow, millisecondsSince, systemClock } from './environment.ts';
import { ClientError } from './errors.ts';
import { createCursorReport } from './groups/cursors.ts';
import { createGroups } from './groups/groups.ts';
import { createListUpkeep } from './groups/list-upkeep.ts';
import { createReading } from './groups/reading.ts';
import { createHandles } from './handles.ts';
import { createMessages } from './messages/messages.ts';
import { createRecovery } from './recovery.ts';
import { createSignals } from './signals.ts';
import type { ClientOptions, GroupcastClient } from './types.ts';

/** Why a client that was made on a server has not connected. */
const NO_WINDOW = {
  code: 'NO_WINDOW',
  message: 'there is no window here, as on a server: call connect(), or pass autoConnect: true',
};

function connectionOptions(options: ClientOptions): ConnectionOptions {
  return {
    auth: options.notifications === true ? { notifications: true } : {},
    transports: options.transports ?? ['websocket', 'polling'],
    connectTimeoutMs: options.connectTimeoutMs ?? 10_000,
    reconnectMinMs: options.reconnectMinMs ?? 1_500,
    reconnectMaxMs: options.reconnectMaxMs ?? 10_000,
  };
}

/**
 * Makes a client and lets it connect in the next turn, where there is a window or `autoConnect` is true. Throws where an option is
 * missing.
 *
 * The parts are built from the bottom up, and each calls only parts that are there already. A part tells the parts above it through a
 * topic of `told`, to which they subscribe.
 */
export function createClient(options: ClientOptions): GroupcastClient {
  if (typeof options.apiUrl !== 'string' || typeof options.getToken !== 'function') {
    throw new TypeError('unable to create a client; it needs apiUrl and getToken');
  }
  const { clock = systemClock, logger: log = consoleLogger, random = Math.random } = options;
  const { fetch = (...request) => globalThis.fetch(...request), eventTarget = defaultEventTarget() } = options;
  const { pageSize = 50, sendTimeoutMs = 120_000, cursorIntervalMs = 1_000, gapHoldMs: holdMs = 150 } = options;
  const { pollAfterMs = 10_000, pollIntervalMs = 3_000, autoConnect = hasWindow() } = options;
  const onListenerError = (error: unknown): void => log.error('a listener failed', { error });
  const common = { clock, random, log, onListenerError };
  const { topics, groupEvents, told } = createSignals(onListenerError);
  let closed = false;

  // The API, and how far this client is

  const userTokens = createUserTokens(options.getToken, clock);
  const api = createApi({ apiUrl: options.apiUrl.replace(/\/$/, ''), tokens: userTokens, fetch, clock });
  const tokens = createConnectionTokens({
    fetchToken: api.connectionToken,
    relayUrl: options.relayUrl,
    clock,
    random,
  });
  const me = (): string | undefined => tokens.userId ?? userTokens.userId;
  const status = createConnectionStatus(common, options.autoConnect === undefined && !autoConnect ? NO_WINDOW : null);
  const cursors = createCursorReport({
    report: (reported) => status.link?.ask('update-cursors', { cursors: reported }),
    markRead: api.markRead,
    intervalMs: cursorIntervalMs,
    epochOf: (groupId) => delivery.epochOf(groupId),
    ...common,
  });

  // Messages and groups, and the delivery of events to them

  const reaches = new Map<string, Reach>();
  const messages = createMessages({
    api,
    pageSize: Math.min(pageSize, 200),
    sendTimeoutMs,
    me,
    reaches,
    onAwaitingReceipts: told.awaitingReceipts.emit,
    ...common,
  });
  const groups = createGroups({
    api,
    me,
    onListed: told.listed.emit,
    onRead: told.listRead.emit,
    onGone: told.gone.emit,
    onRemoved: (groupId, seq) => told.removed.emit({ groupId, seq }),
    ...common,
  });
  const delivery = createDelivery({ messages, groups, cursors, topics, groupEvents, onJoined: told.joined.emit });
  const reading = createReading({ groups, cursors, markRead: api.markRead, ...delivery });
  const list = createListUpkeep({ groups, random, clock });
  told.listRead.subscribe(list.wasRead);
  topics.reset.subscribe(list.readSoon);
  told.gone.subscribe(delivery.leave);
  told.removed.subscribe(({ groupId, seq }) => cursors.forget(groupId, seq));
  told.removed.subscribe(list.readSoon);

  const ask: Ask = (event, payload) => status.link?.ask(event, payload);
  const parts = { messages, groups, reading, reaches, topics, told };
  const conversation = createConversation({ ask, api, me, ...parts, ...common });

  // The relay, and catching up from it and from the API

  const recovery = createRecovery({
    delivery,
    status,
    api,
    topics,
    holdMs,
    onUnclear: list.readSoon,
    onGreeted: told.greeted.emit,
    onLive: told.live.emit,
    ...common,
  });
  told.listRead.subscribe(recovery.join);
  told.listed.subscribe(({ id, position, readSeq }) => {
    delivery.standsAt(id, position);
    delivery.arrived(id);
    reading.listed(id, position, readSeq);
    recovery.check(id, status.link ? undefined : 'now');
  });

  /** Everything that waits for its next try is tried now. */
  function hurry(): void {
    recovery.hurry();
    messages.hurry();
    groups.hurry();
  }

  // The connection, and asking the API at an interval where there is none

  const polling = createPolling({
    afterMs: pollAfterMs,
    intervalMs: pollIntervalMs,
    async poll() {
      await groups.refresh();
      return groups.getSnapshot().error;
    },
    onOutcome(answered) {
      status.move(answered ? 'polled' : 'poll-failed');
      if (answered) hurry();
    },
    ...common,
  });
  told.live.subscribe((live) => {
    if (live) {
      polling.stop();
      list.readSoon();
    } else {
      // A crowd hears it in one moment, and each client begins to poll in a moment of its own.
      polling.start(random() * pollIntervalMs);
    }
    recovery.showProgress();
  });
  status.subscribe(() => {
    if (status.getSnapshot().state === 'ended') polling.stop();
  });
  const { io: openSocket, door } = openDoor(options.io ?? io, delivery.positionOf);
  let firstList: Promise<unknown> | undefined;
  const connection = createConnection(
    {
      tokens,
      status,
      handshake: recovery.handshake,
      ready: async () => (firstList ??= groups.refresh()),
      io: openSocket,
      onOpen() {
        polling.stop();
        recovery.opened();
        cursors.reconnected();
        list.opened();
        hurry();
      },
      onRenewed: list.onOccasion,
      onDown(heardAt) {
        list.down(heardAt);
        cursors.down(millisecondsSince(heardAt));
        recovery.down();
        told.down.emit();
        polling.start();
      },
      onEvent: recovery.onEvent,
      ...common,
    },
    connectionOptions(options),
  );
  const stopFollowing = followBrowser({ target: eventTarget, connection, abandon: api.abandon, hurry, list, clock });

  // The client as the application sees it

  function connect(): void {
    if (closed) throw new ClientError('CLOSED', 'unable to connect; the client was closed');
    const { state } = status.getSnapshot();
    if (state === 'ended' && groups.getSnapshot().status !== 'ready') firstList = undefined;
    connection.start();
    connection.wake();
    if (state === 'idle' || state === 'ended') polling.start();
  }

  function close(): void {
    if (closed) return;
    closed = true;
    delivery.stop();
    connection.end({ code: 'CLOSED', message: 'the client was closed' });
    stopFollowing();
    for (const part of [polling, recovery, conversation, reading, cursors, messages, groups, api]) part.stop();
    status.clear();
    groupEvents.clear();
    for (const topic of [...Object.values(topics), ...Object.values(told)]) topic.clear();
  }

  if (autoConnect) {
    queueMicrotask(() => {
      if (!closed) connect();
    });
  }
  const client: GroupcastClient = {
    get userId() {
      return me();
    },
    connection: { getSnapshot: status.getSnapshot, subscribe: status.subscribe },
    groups: { getSnapshot: groups.getSnapshot, subscribe: groups.subscribe, refresh: groups.refresh },
    unread: groups.unread,
    api,
    stats: delivery.stats,
    ...createHandles({ messages, groups, groupEvents, delivery, reading, conversation }),
    signal: createPeerSignal(status),
    on: (name, listener) => topics[name].subscribe(listener),
    connect,
    close,
  };
  return Object.defineProperty(client, DOOR, { value: door });
}
