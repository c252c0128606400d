import type { GroupEvent, Message } from '@groupcast/shared';
import type { Reach } from '../api/answers.ts';
import type { Api } from '../api/api.ts';
import { parseMessage } from '../base/parse.ts';
import type { OnListenerError } from '../base/store.ts';
import type { Clock, Logger } from '../environment.ts';
import { type Changes, createChanges } from './changes.ts';
import { asEvent } from './message-list.ts';
import { createMessageView, type MessageView } from './message-view.ts';
import { createOutgoing, type Outgoing } from './outgoing.ts';

export interface MessagesDeps {
  api: Pick<Api, 'messages' | 'send' | 'editMessage' | 'deleteMessage'>;
  me: () => string | undefined;
  /** By group: how far all other members have received and read. */
  reaches: ReadonlyMap<string, Reach>;
  /** Somebody looks at own messages of the group that not everybody has read. */
  onAwaitingReceipts: (groupId: string) => void;
  /** Messages in one page. */
  pageSize: number;
  /** How long a message is tried before it fails, in milliseconds. */
  sendTimeoutMs: number;
  clock: Clock;
  random: () => number;
  log: Logger;
  onListenerError: OnListenerError;
}

const NOWHERE: Reach = { received: 0, read: 0 };

/** The messages of all groups: one view of each, and own messages that are being sent. */
export interface Messages extends Pick<Outgoing, 'send' | 'retry' | 'discard'>, Pick<Changes, 'edit' | 'remove'> {
  /** The same view for the same group. */
  viewOf: (groupId: string) => MessageView;
  /** `events` are the next ones of the group, in order. */
  apply: (groupId: string, events: readonly GroupEvent[]) => void;
  /** The view of the group, if there is one. */
  shown: (groupId: string) => MessageView | undefined;
  /** The group was started over: its messages are read again. */
  reset: (groupId: string) => void;
  /** The user is no longer in the group. */
  leave: (groupId: string) => void;
  /** Every message and every page that waits for its next try is tried at once. */
  hurry: () => void;
  /** Messages that are being sent fail with `CLOSED`, and views lose their listeners. */
  stop: () => void;
}

export function createMessages(deps: MessagesDeps): Messages {
  const { api, pageSize, sendTimeoutMs, me, reaches, onAwaitingReceipts, ...rest } = deps;
  const views = new Map<string, MessageView>();

  const shown = (groupId: string): MessageView | undefined => views.get(groupId);

  /** Everything that `work` does to the group's view is one change. */
  function update(groupId: string, work: () => void): void {
    const view = shown(groupId);
    if (view) view.update(work);
    else work();
  }

  const changes = createChanges({ api, onChange: (groupId) => shown(groupId)?.refresh() });
  const outgoing = createOutgoing({
    send: api.send,
    giveUpAfterMs: sendTimeoutMs,
    onChange: (groupId) => shown(groupId)?.refresh(),
    onSaved: (message: Message, settle) =>
      update(message.groupId, () => {
        settle();
        shown(message.groupId)?.apply([asEvent(message)]);
      }),
    ...rest,
  });

  function viewOf(groupId: string): MessageView {
    const known = shown(groupId);
    if (known) return known;
    const view = createMessageView({
      groupId,
      api,
      pageSize,
      keyOf: outgoing.keyOf,
      pending: () => outgoing.pendingOf(groupId),
      onPage: (page) => page.forEach(outgoing.settle),
      rows: { me, reach: () => reaches.get(groupId) ?? NOWHERE, changes },
      onAwaitingReceipts: () => onAwaitingReceipts(groupId),
      ...rest,
    });
    views.set(groupId, view);
    return view;
  }

  return {
    viewOf,
    apply: (groupId, events) =>
      update(groupId, () => {
        for (const event of events) {
          const message = event.event === 'new-message' ? parseMessage(event) : undefined;
          if (message?.clientMessageId !== undefined) outgoing.settle(message);
        }
        changes.apply(groupId, events);
        shown(groupId)?.apply(events);
      }),
    shown,
    edit: changes.edit,
    remove: changes.remove,
    reset(groupId) {
      changes.forget(groupId);
      void shown(groupId)?.reload();
    },
    leave(groupId) {
      changes.forget(groupId);
      shown(groupId)?.leave();
    },
    send: outgoing.send,
    retry: outgoing.retry,
    discard: outgoing.discard,
    hurry() {
      outgoing.hurry();
      for (const view of views.values()) view.hurry();
    },
    stop() {
      outgoing.stop();
      for (const view of views.values()) view.clear();
      views.clear();
    },
  };
}
