import type { GroupEvent, JsonObject } from '@groupcast/shared';
import type { GroupId } from './api/api.ts';
import { idOf } from './base/parse.ts';
import type { KeyedTopic } from './base/store.ts';
import type { Delivery } from './delivery.ts';
import type { Groups } from './groups/groups.ts';
import type { Reading } from './groups/reading.ts';
import type { Messages } from './messages/messages.ts';
import { newClientMessageId } from './messages/outgoing.ts';
import type { GroupcastClient, SendInput } from './types.ts';

/** The client's methods about one group: they take its id, or belong to a handle that remembers the id. */
export function createHandles(deps: {
  messages: Messages;
  groups: Groups;
  groupEvents: KeyedTopic<GroupEvent>;
  delivery: Pick<Delivery, 'positionOf'>;
  reading: Reading;
}): Pick<GroupcastClient, 'group' | 'messages' | 'send' | 'markRead'> {
  const { messages, groups } = deps;

  function markRead(id: GroupId, seq?: number): void {
    const groupId = idOf(id);
    const upTo = seq ?? deps.delivery.positionOf(groupId)?.seq;
    if (upTo !== undefined) deps.reading.mark(groupId, upTo);
  }

  const send: GroupcastClient['send'] = (id, message) => {
    const input: SendInput = typeof message === 'string' ? { content: message } : message;
    const { content, clientMessageId = newClientMessageId() } = input;
    // A copy, as it will be saved: later changes of the application's objects change no message.
    const attachments = input.attachments?.map((one) => JSON.parse(JSON.stringify(one)) as JsonObject);
    return messages.send(idOf(id), { content, attachments, clientMessageId });
  };

  return {
    send,
    markRead,
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
