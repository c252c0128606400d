import type { Message, Notification } from '@groupcast/shared';
import type { GroupId } from '../api/api.ts';
import { fieldsOf, idOf, parseId, parseMessage } from '../base/parse.ts';
import { createTopic, type OnListenerError } from '../base/store.ts';
import type { Ask } from './ask.ts';

/** A message in a group that is not on screen. */
export interface MessageNotification extends Omit<Notification, 'message'> {
  message: Message;
}

/** The group on screen, and what happens in the others: the relay notifies of messages in groups that are not on screen. */
export interface Viewing {
  view: (groupId: GroupId | null) => void;
  /** Calls the listener with each notification; returns a function that stops it. */
  subscribe: (listener: (notification: MessageNotification) => void) => () => void;
  onNotification: (payload: unknown) => void;
  /** A connection is open, which has no group on screen yet. */
  ready: () => void;
  down: () => void;
  stop: () => void;
}

export function createViewing(deps: { ask: Ask; onListenerError: OnListenerError }): Viewing {
  const topic = createTopic<MessageNotification>(deps.onListenerError);
  let viewed: string | null = null;
  /** The group that the relay of this connection was told. */
  let told: string | null = null;
  let isReady = false;
  let isPlanned = false;

  /** One screen follows another in the same turn, and only the last one is told. */
  function tellSoon(): void {
    if (isPlanned) return;
    isPlanned = true;
    queueMicrotask(() => {
      isPlanned = false;
      if (!isReady || told === viewed) return;
      told = viewed;
      // Where it cannot be told, notifications come of the group on screen as well.
      deps.ask('view-group', { groupId: viewed })?.catch(() => undefined);
    });
  }

  return {
    view(id) {
      viewed = id === null ? null : idOf(id);
      tellSoon();
    },
    subscribe: (listener) => topic.subscribe(listener),
    onNotification(payload) {
      const fields = fieldsOf(payload);
      const groupId = parseId(fields?.['groupId']);
      const message = parseMessage(fields?.['message']);
      if (groupId === undefined || !message || fields?.['kind'] !== 'message') return;
      // The relay may not know yet what is on screen.
      if (groupId !== viewed) topic.emit({ kind: 'message', groupId, message });
    },
    ready() {
      isReady = true;
      tellSoon();
    },
    down() {
      isReady = false;
      told = null;
    },
    stop() {
      isReady = false;
      topic.clear();
    },
  };
}
