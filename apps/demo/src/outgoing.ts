import type { Message } from '@groupcast/shared';
import { ApiError } from './api.ts';
import type { OutgoingMessage } from './group-state.ts';

export interface OutgoingDeps {
  send: (message: OutgoingMessage) => Promise<Message>;
  onChange: (messages: readonly OutgoingMessage[]) => void;
  onSent: (message: Message) => void;
}

/**
 * Messages on their way to the API, one request at a time so that they are saved in the order they were written. A
 * saved message is recognised by its `clientMessageId`, whether the answer or the live event brings it first.
 */
export function createOutgoing(deps: OutgoingDeps) {
  let messages: readonly OutgoingMessage[] = [];
  let queue: Promise<void> = Promise.resolve();

  function change(next: readonly OutgoingMessage[]): void {
    messages = next;
    deps.onChange(next);
  }

  function settled(clientMessageId: unknown): void {
    if (messages.some((message) => message.clientMessageId === clientMessageId)) {
      change(messages.filter((message) => message.clientMessageId !== clientMessageId));
    }
  }

  async function deliver(outgoing: OutgoingMessage): Promise<void> {
    try {
      deps.onSent(await deps.send(outgoing));
      settled(outgoing.clientMessageId);
    } catch (error) {
      fail(outgoing.clientMessageId, error instanceof ApiError ? error.message : 'unable to send the message');
    }
  }

  function fail(clientMessageId: string, error: string): void {
    change(
      messages.map((one) => (one.clientMessageId === clientMessageId ? { ...one, status: 'failed', error } : one)),
    );
  }

  function enqueue(outgoing: OutgoingMessage): void {
    queue = queue.then(() => deliver(outgoing));
  }

  return {
    settled,

    add: (groupId: string, content: string): void => {
      const createdAt = new Date().toISOString();
      const outgoing: OutgoingMessage = { groupId, clientMessageId: newId(), content, createdAt, status: 'sending' };
      change([...messages, outgoing]);
      enqueue(outgoing);
    },

    /** The same `clientMessageId` again: should the first request have arrived after all, nothing is doubled. */
    retry: (clientMessageId: string): void => {
      const failed = messages.find((message) => message.clientMessageId === clientMessageId);
      if (failed?.status !== 'failed') return;
      const { error: _, ...rest } = failed;
      const again: OutgoingMessage = { ...rest, status: 'sending' };
      change(messages.map((message) => (message === failed ? again : message)));
      enqueue(again);
    },
  };
}

/** Not `crypto.randomUUID`: that one is missing when the page is opened over plain HTTP from another machine. */
function newId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}
