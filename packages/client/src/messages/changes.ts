import type { GroupEvent, Message } from '@groupcast/shared';
import type { Api, MessageChange } from '../api/api.ts';
import { parseId } from '../base/parse.ts';
import { toClientError } from '../errors.ts';

/** An edit or a deletion of this client that no event has told of yet. */
type Change =
  /** `answer` is `undefined` while the edit is on its way. */
  { kind: 'edit'; to: MessageChange; answer: Message | undefined } | { kind: 'delete'; isDone: boolean };

/**
 * Own edits and deletions, shown before they are carried out. A refusal takes the change back; otherwise it lasts until the group's
 * events or a page have got as far: what they say counts from then on.
 */
export interface Changes {
  edit: (groupId: string, messageId: string, to: MessageChange) => Promise<Message>;
  remove: (groupId: string, messageId: string) => Promise<void>;
  /** The message as it is shown: the same object where there is no change, `null` where it was deleted. */
  shownAs: <T extends Message>(message: T) => T | null;
  /** `events` are the next ones of the group; changes that they include are over. */
  apply: (groupId: string, events: readonly GroupEvent[]) => void;
  /** The user is no longer in the group, or it was started over. */
  forget: (groupId: string) => void;
  /** Rises with every change. */
  readonly version: number;
}

export function createChanges(deps: {
  api: Pick<Api, 'deleteMessage'> & {
    editMessage: (groupId: string, messageId: string, to: MessageChange) => Promise<Message>;
  };
  onChange: (groupId: string) => void;
}): Changes {
  const { api } = deps;
  /** By group and message, in the order in which they were made. */
  const changes = new Map<string, Map<string, Change[]>>();
  /** The last request about a message: one follows the other, so that the last change is the last one saved. */
  const inTurn = new Map<string, Promise<unknown>>();
  let version = 0;

  function listOf(groupId: string, messageId: string): Change[] {
    return changes.get(groupId)?.get(messageId) ?? [];
  }

  function replace(groupId: string, messageId: string, list: Change[]): void {
    const inGroup = changes.get(groupId) ?? new Map<string, Change[]>();
    if (list.length > 0) inGroup.set(messageId, list);
    else inGroup.delete(messageId);
    if (inGroup.size > 0) changes.set(groupId, inGroup);
    else changes.delete(groupId);
    version += 1;
  }

  function drop(groupId: string, messageId: string, change: Change): void {
    const list = listOf(groupId, messageId);
    if (!list.includes(change)) return;
    replace(
      groupId,
      messageId,
      list.filter((one) => one !== change),
    );
    deps.onChange(groupId);
  }

  async function afterOthers<T>(messageId: string, work: () => Promise<T>): Promise<T> {
    const before = inTurn.get(messageId) ?? Promise.resolve();
    const mine = before.then(work, work);
    const settled = mine.then(
      () => undefined,
      () => undefined,
    );
    inTurn.set(messageId, settled);
    try {
      return await mine;
    } finally {
      if (inTurn.get(messageId) === settled) inTurn.delete(messageId);
    }
  }

  async function carryOut<T>(
    groupId: string,
    messageId: string,
    change: Change,
    work: () => Promise<T>,
    onDone: (answer: T) => void,
  ): Promise<T> {
    replace(groupId, messageId, [...listOf(groupId, messageId), change]);
    deps.onChange(groupId);
    try {
      const answer = await afterOthers(messageId, work);
      onDone(answer);
      version += 1;
      deps.onChange(groupId);
      return answer;
    } catch (cause) {
      drop(groupId, messageId, change);
      throw toClientError(cause);
    }
  }

  return {
    async edit(groupId, messageId, to) {
      const change: Change = { kind: 'edit', to, answer: undefined };
      return carryOut(
        groupId,
        messageId,
        change,
        async () => api.editMessage(groupId, messageId, to),
        (answer) => {
          change.answer = answer;
        },
      );
    },
    async remove(groupId, messageId) {
      const change: Change = { kind: 'delete', isDone: false };
      await carryOut(
        groupId,
        messageId,
        change,
        async () => api.deleteMessage(groupId, messageId),
        () => {
          change.isDone = true;
        },
      );
    },
    shownAs(message) {
      const list = listOf(message.groupId, message.id);
      if (list.length === 0) return message;
      if (list.some(({ kind }) => kind === 'delete')) return null;
      const rest = list.filter((change) => !isIncluded(change, message.updatedAt));
      return rest.length === 0 ? message : rest.reduce(withChange, message);
    },
    apply(groupId, events) {
      if (!changes.has(groupId)) return;
      for (const event of events) {
        const messageId = parseId(event['messageId']);
        if (messageId === undefined) continue;
        const { updatedAt } = event;
        const list = listOf(groupId, messageId);
        const rest =
          event.event === 'message-deleted'
            ? []
            : list.filter((change) => !isIncluded(change, typeof updatedAt === 'string' ? updatedAt : undefined));
        if (rest.length < list.length) replace(groupId, messageId, rest);
      }
    },
    forget(groupId) {
      if (!changes.delete(groupId)) return;
      version += 1;
      deps.onChange(groupId);
    },
    get version() {
      return version;
    },
  };
}

function withChange<T extends Message>(message: T, change: Change): T {
  if (change.kind !== 'edit') return message;
  const changed = { ...message };
  const { content, custom } = change.to;
  if (content !== undefined) changed.content = content;
  if (custom === null) delete changed.custom;
  else if (custom !== undefined) changed.custom = custom;
  const updatedAt = change.answer?.updatedAt;
  if (updatedAt !== undefined) changed.updatedAt = updatedAt;
  return changed;
}

/**
 * Whether a message that was last edited at `updatedAt` includes the change. The answer to an edit has no position, but times that are
 * ISO 8601 in UTC do as well: the API gives each edit of a message a later one than the edit before.
 */
function isIncluded(change: Change, updatedAt: string | undefined): boolean {
  if (change.kind !== 'edit' || !change.answer) return false;
  const savedAt = change.answer.updatedAt;
  return savedAt === undefined || (updatedAt !== undefined && updatedAt >= savedAt);
}
