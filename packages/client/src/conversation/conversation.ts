import type { GroupEvent, Position, ReadCursor } from '@groupcast/shared';
import type { Reach } from '../api/answers.ts';
import type { Api } from '../api/api.ts';
import { fieldsOf, isSeq, parseId } from '../base/parse.ts';
import type { OnListenerError, Topic } from '../base/store.ts';
import type { Clock, Logger } from '../environment.ts';
import type { Groups } from '../groups/groups.ts';
import type { Reading } from '../groups/reading.ts';
import type { Messages } from '../messages/messages.ts';
import type { Ask } from './ask.ts';
import { createPresence, type Presence } from './presence.ts';
import { createReceipts, type Receipts } from './receipts.ts';
import { createTyping, type Typing } from './typing.ts';
import { createViewing, type Viewing } from './viewing.ts';

export interface ConversationDeps {
  ask: Ask;
  api: Pick<Api, 'receipts'>;
  me: () => string | undefined;
  messages: Pick<Messages, 'shown'>;
  groups: Pick<Groups, 'get'>;
  reading: Pick<Reading, 'readElsewhere'>;
  reaches: Map<string, Reach>;
  topics: {
    event: Topic<GroupEvent>;
    transient: Topic<{ event: string; payload: unknown }>;
    reset: Topic<{ groupId: string; position: Position }>;
    left: Topic<{ groupId: string }>;
  };
  told: {
    greeted: Topic<void>;
    down: Topic<void>;
    live: Topic<boolean>;
    joined: Topic<string>;
    awaitingReceipts: Topic<string>;
  };
  clock: Clock;
  random: () => number;
  log: Logger;
  onListenerError: OnListenerError;
}

/** Everything beside the messages of a group that has no position: receipts, typing, presence, notifications. */
export interface Conversation {
  receipts: Receipts;
  typing: Typing;
  presence: Presence;
  viewing: Viewing;
  stop: () => void;
}

export function createConversation(deps: ConversationDeps): Conversation {
  const { messages, groups, topics, told } = deps;
  const typing = createTyping(deps);
  const viewing = createViewing(deps);
  const presence = createPresence({ ...deps, memberCountOf: (groupId) => groups.get(groupId)?.memberCount });
  const receipts = createReceipts({
    ...deps,
    isShown: (groupId) => messages.shown(groupId)?.awaitsReceipts === true,
    onReach: (groupId) => messages.shown(groupId)?.refresh(),
  });
  const handlers = new Map<string, (payload: unknown) => void>([
    ['receipt', receipts.onReceipt],
    ['typing', typing.onTyping],
    ['presence', presence.onPresence],
    ['notification', viewing.onNotification],
    ['read-cursor', onReadCursor],
  ]);
  /** The relay has greeted this connection. */
  let isGreeted = false;

  function onReadCursor(payload: unknown): void {
    const { groupId: given, readSeq } = (fieldsOf(payload) ?? {}) as Partial<Record<keyof ReadCursor, unknown>>;
    const groupId = parseId(given);
    if (groupId !== undefined && isSeq(readSeq, 0)) deps.reading.readElsewhere(groupId, readSeq);
  }

  topics.transient.subscribe(({ event, payload }) => handlers.get(event)?.(payload));
  topics.event.subscribe((event) => {
    typing.onEvent(event);
    receipts.onEvent(event);
  });
  topics.reset.subscribe(({ groupId }) => receipts.startedOver(groupId));
  topics.left.subscribe(({ groupId }) => {
    for (const part of [typing, presence, receipts]) part.forget(groupId);
  });
  told.joined.subscribe(receipts.joined);
  told.awaitingReceipts.subscribe(receipts.want);
  told.greeted.subscribe(() => {
    presence.ready();
    if (isGreeted) return;
    isGreeted = true;
    viewing.ready();
    // Also of the first connection: receipts may have been read before it.
    receipts.reconnected();
  });
  // A relay that delivers nothing shows no receipts either.
  told.live.subscribe((live) => {
    if (live) receipts.reconnected();
  });
  told.down.subscribe(() => {
    isGreeted = false;
    typing.forget();
    presence.down();
    viewing.down();
  });

  return {
    receipts,
    typing,
    presence,
    viewing,
    stop() {
      for (const part of [receipts, typing, presence, viewing]) part.stop();
    },
  };
}
