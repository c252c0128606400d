import type { GroupEvent } from '@groupcast/shared';
import type { GroupId } from '../api/api.ts';
import { fieldsOf, idOf, parseId, parseUserId } from '../base/parse.ts';
import { createKeyedTopic, type OnListenerError, type Readable } from '../base/store.ts';
import type { Clock } from '../environment.ts';
import type { Ask } from './ask.ts';

/** The other members who type in a group, by user id, in the order in which they began. */
export interface TypingHandle extends Readable<readonly string[]> {
  readonly groupId: string;
  /** The user types; call it on every input. The others are told at most once in 3 s, and that it is over 5 s after the last call. */
  start: () => void;
  /** The user has emptied or left the field. Sending a message says so by itself. */
  stop: () => void;
}

export interface Typing {
  handleOf: (groupId: GroupId) => TypingHandle;
  /** The user has sent a message. */
  sent: (groupId: string) => void;
  onTyping: (payload: unknown) => void;
  onEvent: (event: GroupEvent) => void;
  /** Nobody is known to type any more: in one group, or in all of them. */
  forget: (groupId?: string) => void;
  stop: () => void;
}

/**
 * How long a member types without another word, in milliseconds. The relay says once that a member types, however long that is, and says
 * when it is over; this is for a word that was lost.
 */
const EXPIRES_MS = 120_000;
const REPEAT_MS = 3_000;
const PAUSE_MS = 5_000;
/** Most typists of a group, and most groups with typists. Others are not shown. */
const MAX_TYPISTS = 20;
const MAX_GROUPS = 1_000;
const NOBODY: readonly string[] = [];

export function createTyping(deps: {
  ask: Ask;
  me: () => string | undefined;
  clock: Clock;
  onListenerError: OnListenerError;
}): Typing {
  const { ask, clock } = deps;
  /** The typists of each group, each with the timer that ends it; a group without any has no entry. */
  const typists = new Map<string, Map<string, unknown>>();
  const snapshots = new Map<string, readonly string[]>();
  const topics = createKeyedTopic<void>(deps.onListenerError);
  /** Groups in which this user types. */
  const own = new Map<string, { toldAt: number; timer: unknown }>();
  let stopped = false;

  function publish(groupId: string): void {
    const ids = Array.from(typists.get(groupId)?.keys() ?? []);
    if (ids.length === 0) snapshots.delete(groupId);
    else snapshots.set(groupId, ids);
    topics.emit(groupId);
  }

  function end(groupId: string, userId: string): void {
    const inGroup = typists.get(groupId);
    if (!inGroup?.has(userId)) return;
    clock.clearTimeout(inGroup.get(userId));
    inGroup.delete(userId);
    if (inGroup.size === 0) typists.delete(groupId);
    publish(groupId);
  }

  function begin(groupId: string, userId: string): void {
    const inGroup = typists.get(groupId) ?? new Map<string, unknown>();
    const isNew = !inGroup.has(userId);
    if (isNew && (inGroup.size >= MAX_TYPISTS || (inGroup.size === 0 && typists.size >= MAX_GROUPS))) return;
    clock.clearTimeout(inGroup.get(userId));
    inGroup.set(
      userId,
      clock.setTimeout(() => end(groupId, userId), EXPIRES_MS),
    );
    typists.set(groupId, inGroup);
    if (isNew) publish(groupId);
  }

  function forgetGroup(groupId: string): void {
    for (const userId of Array.from(typists.get(groupId)?.keys() ?? [])) end(groupId, userId);
  }

  /** Nobody waits for the answer: where it cannot be told, the others see no typing. */
  function tell(groupId: string, isTyping: boolean): void {
    ask('typing', { groupId, isTyping })?.catch(() => undefined);
  }

  function start(groupId: string): void {
    if (stopped) return;
    const known = own.get(groupId);
    clock.clearTimeout(known?.timer);
    const now = clock.now();
    const isDue = !known || now - known.toldAt >= REPEAT_MS;
    own.set(groupId, {
      toldAt: isDue ? now : known.toldAt,
      timer: clock.setTimeout(() => pause(groupId), PAUSE_MS),
    });
    if (isDue) tell(groupId, true);
  }

  function pause(groupId: string): void {
    const known = own.get(groupId);
    if (!known) return;
    clock.clearTimeout(known.timer);
    own.delete(groupId);
    if (!stopped) tell(groupId, false);
  }

  return {
    handleOf(id) {
      const groupId = idOf(id);
      return {
        groupId,
        getSnapshot: () => snapshots.get(groupId) ?? NOBODY,
        subscribe: (listener) => topics.subscribe(groupId, listener),
        start: () => start(groupId),
        stop: () => pause(groupId),
      };
    },
    sent: pause,
    onTyping(payload) {
      const fields = fieldsOf(payload);
      const groupId = parseId(fields?.['groupId']);
      const userId = parseUserId(fields?.['userId']);
      if (stopped || groupId === undefined || userId === undefined || userId === deps.me()) return;
      if (fields?.['isTyping'] === true) begin(groupId, userId);
      else end(groupId, userId);
    },
    onEvent({ event, groupId, senderId, userIds }) {
      // The message is what was typed.
      if (event === 'new-message' && typeof senderId === 'string') end(groupId, senderId);
      if (event === 'member-removed' && Array.isArray(userIds))
        for (const userId of userIds) if (typeof userId === 'string') end(groupId, userId);
    },
    forget(groupId) {
      if (groupId !== undefined) forgetGroup(groupId);
      else for (const each of Array.from(typists.keys())) forgetGroup(each);
    },
    stop() {
      stopped = true;
      topics.clear();
      for (const { timer } of own.values()) clock.clearTimeout(timer);
      for (const groupId of Array.from(typists.keys())) forgetGroup(groupId);
    },
  };
}
