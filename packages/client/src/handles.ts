import type { GroupEvent, JsonObject, JsonObjectInput } from '@groupcast/shared';
import type { GroupId } from './api/api.ts';
import { idOf } from './base/parse.ts';
import type { KeyedTopic } from './base/store.ts';
import type { Conversation } from './conversation/conversation.ts';
import type { Delivery } from './delivery.ts';
import type { Groups } from './groups/groups.ts';
import type { Reading } from './groups/reading.ts';
import type { Messages } from './messages/messages.ts';
import { newClientMessageId } from './messages/outgoing.ts';
import type { GroupcastClient, SendInput } from './types.ts';

type Handles = Pick<
  GroupcastClient,
  | 'group'
  | 'messages'
  | 'send'
  | 'retry'
  | 'discard'
  | 'markRead'
  | 'editMessage'
  | 'deleteMessage'
  | 'typing'
  | 'receipts'
  | 'presence'
  | 'notifications'
  | 'viewGroup'
>;

/** The object as it will be saved: later changes of the application's own change no message. */
function copyOf(value: JsonObjectInput): JsonObject {
  return JSON.parse(JSON.stringify(value)) as JsonObject;
}

/** The client's methods about one group: they take its id, or belong to a handle that remembers the id. */
export function createHandles(deps: {
  messages: Messages;
  groups: Groups;
  groupEvents: KeyedTopic<GroupEvent>;
  delivery: Pick<Delivery, 'positionOf'>;
  reading: Reading;
  conversation: Conversation;
}): Handles {
  const { messages, groups, conversation } = deps;
  const { typing, receipts, presence, viewing } = conversation;

  function markRead(id: GroupId, seq?: number): void {
    const groupId = idOf(id);
    const upTo = seq ?? deps.delivery.positionOf(groupId)?.seq;
    if (upTo !== undefined) deps.reading.mark(groupId, upTo);
  }

  const send: GroupcastClient['send'] = (id, message) => {
    const input: SendInput = typeof message === 'string' ? { content: message } : message;
    const { content, kind, clientMessageId = newClientMessageId() } = input;
    const groupId = idOf(id);
    const attachments = input.attachments?.map(copyOf);
    const custom = input.custom && copyOf(input.custom);
    const sending = messages.send(groupId, { content, attachments, custom, kind, clientMessageId });
    typing.sent(groupId);
    return sending;
  };

  return {
    send,
    retry: messages.retry,
    discard: messages.discard,
    markRead,
    async editMessage(id, messageId, change) {
      const { content, custom } = typeof change === 'string' ? { content: change, custom: undefined } : change;
      return messages.edit(idOf(id), messageId, { content, custom: custom && copyOf(custom) });
    },
    deleteMessage: async (id, messageId) => messages.remove(idOf(id), messageId),
    typing: typing.handleOf,
    receipts: receipts.handleOf,
    presence: presence.handleOf,
    notifications: { subscribe: viewing.subscribe },
    viewGroup: viewing.view,
    messages: (id) => messages.viewOf(idOf(id)),
    group(id) {
      const groupId = idOf(id);
      return {
        id: groupId,
        getSnapshot: () => groups.get(groupId),
        subscribe: (listener) => groups.subscribeTo(groupId, listener),
        onEvent: (listener) => deps.groupEvents.subscribe(groupId, listener),
        get messages() {
          return messages.viewOf(groupId);
        },
        send: (message) => send(groupId, message),
        markRead: (seq) => markRead(groupId, seq),
      };
    },
  };
}
