import type { JsonObject, Message } from '@groupcast/shared';
import type { NewMessage } from '../api/api.ts';
import { backoffMs, createWaits } from '../base/backoff.ts';
import type { Clock, Logger } from '../environment.ts';
import { ClientError, toClientError } from '../errors.ts';

interface UnsavedMessage {
  key: string;
  groupId: string;
  clientMessageId: string;
  content: string;
  attachments?: JsonObject[];
  custom?: JsonObject;
  kind: string;
  /** When the message was written, by this computer's clock; ISO 8601 in UTC. */
  createdAt: string;
}

/** An own message that is not known to be saved. */
export type PendingMessage = SendingMessage | FailedMessage;

export interface SendingMessage extends UnsavedMessage {
  status: 'sending';
  error?: undefined;
}

export interface FailedMessage extends UnsavedMessage {
  status: 'failed';
  /** Why it failed. `retry()` may help where it is retryable, and does no harm elsewhere. */
  error: ClientError;
}

export interface Sending {
  clientMessageId: string;
  /** Resolves once the message is saved, as the API or the relay tells it. Rejects with a `ClientError` when it has failed. */
  saved: Promise<Message>;
}

export interface OutgoingDeps {
  send: (groupId: string, message: NewMessage) => Promise<Message>;
  /** How long a message is tried before it fails, in milliseconds. */
  giveUpAfterMs: number;
  onChange: (groupId: string) => void;
  /** The API has answered that the message is saved. The view shows it and calls `settle` in the same change. */
  onSaved: (message: Message, settle: () => void) => void;
  clock: Clock;
  random: () => number;
  log: Logger;
}

export interface Outgoing {
  send: (groupId: string, message: NewMessage) => Sending;
  /** Sends a failed message again, under the same `clientMessageId`, after those that wait. */
  retry: (clientMessageId: string) => Sending;
  /** Takes a failed message away. */
  discard: (clientMessageId: string) => void;
  /** The message came back as an event. */
  settle: (message: Message) => void;
  /** The pending messages of one group, in the order in which they were sent; the same array until something has changed. */
  pendingOf: (groupId: string) => readonly PendingMessage[];
  /** The key of a row: an own message keeps the key that it had while it was being sent. */
  keyOf: (message: Message) => string;
  /** Messages that wait for their next attempt are sent at once. */
  hurry: () => void;
  stop: () => void;
}

interface Item {
  message: PendingMessage;
  giveUpAt: number;
  /** Settles when the message is saved or has failed. */
  done: Promise<Message>;
  resolve: (message: Message) => void;
  reject: (error: ClientError) => void;
  isDone: boolean;
}

const RETRY_MIN_MS = 500;
const RETRY_MAX_MS = 15_000;
const MAX_REMEMBERED = 10_000;

/**
 * Sends own messages, with one request at a time per group, so that they are saved in the order in which they were written. A request
 * without an answer is repeated under the same `clientMessageId`, which the API saves once. The answer or the event, whichever comes
 * first, settles a message.
 */
export function createOutgoing(deps: OutgoingDeps): Outgoing {
  const { clock, log } = deps;
  const items = new Map<string, Item>();
  /** The items of one group, in the order in which they were sent. */
  const byGroup = new Map<string, Set<Item>>();
  /** The ids of the messages that were sent here, by `clientMessageId`; the oldest are forgotten. */
  const own = new Map<string, string>();
  const queues = new Map<string, Item[]>();
  const views = new Map<string, readonly PendingMessage[]>();
  const waits = createWaits(clock);
  let stopped = false;

  function add(item: Item): void {
    const { clientMessageId, groupId } = item.message;
    items.set(clientMessageId, item);
    byGroup.set(groupId, (byGroup.get(groupId) ?? new Set()).add(item));
  }

  function remove(item: Item): void {
    const { clientMessageId, groupId } = item.message;
    items.delete(clientMessageId);
    const group = byGroup.get(groupId);
    group?.delete(item);
    if (group?.size === 0) byGroup.delete(groupId);
  }

  function show(groupId: string): void {
    views.delete(groupId);
    deps.onChange(groupId);
  }

  function fail(item: Item, error: ClientError): void {
    if (item.isDone) return;
    item.isDone = true;
    item.message = { ...item.message, status: 'failed', error };
    show(item.message.groupId);
    item.reject(error);
  }

  function succeed(item: Item, message: Message, byAnswer: boolean): void {
    if (item.isDone && item.message.status !== 'failed') return;
    item.isDone = true;
    remove(item);
    remember(item.message.clientMessageId, message.id);
    const settle = (): void => show(item.message.groupId);
    if (byAnswer) deps.onSaved(message, settle);
    else settle();
    item.resolve(message);
  }

  function remember(clientMessageId: string, id: string): void {
    own.set(clientMessageId, id);
    const [oldest] = own.keys();
    if (own.size > MAX_REMEMBERED && oldest !== undefined) own.delete(oldest);
  }

  /** Sends the message until it is saved or has failed. Never rejects. */
  async function deliver(item: Item): Promise<void> {
    const { groupId, clientMessageId, content, attachments, custom, kind } = item.message;
    const settled = item.done.then(
      () => undefined,
      () => undefined,
    );
    for (let attempt = 0; !item.isDone; attempt += 1) {
      try {
        const answer = deps.send(groupId, {
          content,
          clientMessageId,
          attachments,
          custom,
          kind: kind === 'text' ? undefined : kind,
        });
        const message = await Promise.race([answer, settled]);
        if (message) succeed(item, message, true);
      } catch (cause) {
        const error = toClientError(cause);
        const delay = backoffMs(attempt, RETRY_MIN_MS, RETRY_MAX_MS, deps.random);
        const wait = Math.max(delay, error.retryAfterMs ?? 0);
        if (!error.retryable || stopped || clock.now() + wait > item.giveUpAt) return fail(item, error);
        log.debug('unable to send; will try again', { groupId, clientMessageId, code: error.code });
        await Promise.race([waits.wait(delay, error.retryAfterMs), settled]);
      }
    }
  }

  function enqueue(item: Item): void {
    const { groupId } = item.message;
    const waiting = queues.get(groupId);
    if (waiting) {
      waiting.push(item);
      return;
    }
    const queue = [item];
    queues.set(groupId, queue);
    const work = async (): Promise<void> => {
      for (let next = queue.shift(); next; next = queue.shift()) await deliver(next);
      queues.delete(groupId);
    };
    work().catch((error: unknown) => log.error('sending failed', { groupId, error }));
  }

  function begin(message: PendingMessage): Sending {
    const { promise: done, resolve, reject } = deferred<Message>();
    // A caller that only reads snapshots need not catch anything.
    done.catch(() => undefined);
    const item: Item = { message, giveUpAt: clock.now() + deps.giveUpAfterMs, done, resolve, reject, isDone: false };
    const before = items.get(message.clientMessageId);
    if (before) remove(before);
    add(item);
    show(message.groupId);
    if (stopped) fail(item, new ClientError('CLOSED', 'unable to send; the client was closed'));
    else enqueue(item);
    return { clientMessageId: message.clientMessageId, saved: done };
  }

  return {
    send(groupId, { content, clientMessageId, attachments, custom, kind = 'text' }) {
      if (items.has(clientMessageId)) throw new TypeError(`unable to send; "${clientMessageId}" is on its way already`);
      const createdAt = new Date().toISOString();
      const message: PendingMessage = {
        status: 'sending',
        key: clientMessageId,
        groupId,
        clientMessageId,
        content,
        kind,
        createdAt,
        ...(attachments ? { attachments } : {}),
        ...(custom ? { custom } : {}),
      };
      return begin(message);
    },
    retry(clientMessageId) {
      const item = items.get(clientMessageId);
      if (item?.message.status !== 'failed')
        throw new TypeError(`unable to retry; "${clientMessageId}" has not failed`);
      const { error: _, ...message } = item.message;
      return begin({ ...message, status: 'sending' });
    },
    discard(clientMessageId) {
      const item = items.get(clientMessageId);
      if (item?.message.status !== 'failed') return;
      remove(item);
      show(item.message.groupId);
    },
    settle(message) {
      const item = items.get(message.clientMessageId ?? '');
      if (item?.message.groupId === message.groupId) succeed(item, message, false);
    },
    pendingOf(groupId) {
      const group = byGroup.get(groupId);
      if (!group) return NONE;
      const view = views.get(groupId) ?? [...group].map(({ message }) => message);
      views.set(groupId, view);
      return view;
    },
    keyOf: ({ id, clientMessageId = '' }) => (own.get(clientMessageId) === id ? clientMessageId : id),
    hurry: waits.skip,
    stop() {
      stopped = true;
      waits.stop();
      const error = new ClientError('CLOSED', 'unable to send; the client was closed');
      for (const item of items.values()) fail(item, error);
    },
  };
}

const NONE: readonly PendingMessage[] = [];

function deferred<T>(): { promise: Promise<T>; resolve: (value: T) => void; reject: (error: unknown) => void } {
  let resolve!: (value: T) => void;
  let reject!: (error: unknown) => void;
  const promise = new Promise<T>((...settlers) => {
    [resolve, reject] = settlers;
  });
  return { promise, resolve, reject };
}

/** `crypto.randomUUID` would not do: a page that came over plain HTTP from another machine does not have it. */
export function newClientMessageId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}
