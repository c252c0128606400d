import type { GroupEvent, Position } from '@groupcast/shared';
import type { KeyedTopic, Topic } from './base/store.ts';
import type { CursorReport } from './groups/cursors.ts';
import type { Groups } from './groups/groups.ts';
import { createInbox, type Lag, type Page } from './inbox/inbox.ts';
import type { Messages } from './messages/messages.ts';

/**
 * The source of events: the socket by itself, the relay's log, the API, or the API while it was polled in the relay's place.
 */
export type Source = 'live' | 'recovered' | 'fetched' | 'polled';

export interface DeliveryDeps {
  messages: Pick<Messages, 'apply' | 'shown' | 'reset' | 'leave'>;
  groups: Pick<Groups, 'apply' | 'get' | 'remove'>;
  cursors: Pick<CursorReport, 'applied' | 'forget' | 'received'>;
  topics: {
    event: Topic<GroupEvent>;
    reset: Topic<{ groupId: string; position: Position }>;
    left: Topic<{ groupId: string }>;
  };
  groupEvents: KeyedTopic<GroupEvent>;
  /** The group has begun. */
  onJoined: (groupId: string) => void;
}

/**
 * Takes in events, pages and heads, puts events in order, and hands on those that are due: to messages, to the list of groups, to the
 * application's listeners, and to the report of cursors, in this sequence. It owns the inbox, and nothing else calls it.
 */
export interface Delivery {
  /** The group has got to `position`. A group that has not begun is left alone. */
  head: (groupId: string, position: Position) => void;
  /** The same, but a group that has not begun begins at `position`: older events are not delivered. */
  standsAt: (groupId: string, position: Position) => void;
  /** A list has described the group: what it says is unread has arrived, in part as a number. */
  arrived: (groupId: string) => void;
  /** An event that came over the socket. */
  receive: (event: GroupEvent) => void;
  /** The event at `position` is not for this user. */
  skip: (groupId: string, position: Position) => void;
  /** The answer to a question that was asked from `after`. */
  page: (groupId: string, after: Position, page: Omit<Page, 'more'>, source: Source) => void;
  /** The API says that the group was started over, and that its events go on from `position`. */
  reset: (groupId: string, position: Position, source: Source) => void;
  /** No source has the events that are missing: the group goes on without them. */
  settle: (groupId: string) => void;
  /** The user is no longer in the group. */
  leave: (groupId: string) => void;
  lagOf: (groupId: string) => Lag;
  positionOf: (groupId: string) => Position | null;
  /** How far the group has got, as an event, the relay, the list or a page says; `undefined` where none of them does. */
  headOf: (groupId: string) => number | undefined;
  /** The epoch of a group of which everything has come; `undefined` where something is missing. */
  epochOf: (groupId: string) => string | undefined;
  /** The positions of every group that has begun. */
  positions: () => Record<string, Position>;
  stats: () => Counts & { duplicates: number };
  /** Later events are not handed on. */
  stop: () => void;
}

interface Counts {
  live: number;
  recovered: number;
  fetched: number;
  missedFoundByPoll: number;
}

export function createDelivery(deps: DeliveryDeps): Delivery {
  const { messages, groups, cursors, topics, groupEvents } = deps;
  const inbox = createInbox();
  const counts: Counts = { live: 0, recovered: 0, fetched: 0, missedFoundByPoll: 0 };
  let stopped = false;

  /** `due` are the next events of one group, in order. */
  function deliver(groupId: string, due: readonly GroupEvent[], source: Source): void {
    const last = due.at(-1);
    if (!last || stopped) return;
    counts[source === 'polled' ? 'fetched' : source] += due.length;
    if (source === 'polled') counts.missedFoundByPoll += due.length;
    messages.apply(groupId, due);
    groups.apply(groupId, due);
    for (const event of due) {
      topics.event.emit(event);
      groupEvents.emit(groupId, event);
    }
    cursors.applied(groupId, last.seq);
  }

  return {
    standsAt(groupId, position) {
      if (inbox.lagOf(groupId) !== 'unopened') return inbox.head(groupId, position);
      messages.shown(groupId)?.startsAt(position);
      deliver(groupId, inbox.open(groupId, position), 'live');
      deps.onJoined(groupId);
    },
    arrived(groupId) {
      const position = inbox.positionOf(groupId);
      // Nothing is reported of groups that were read to their end, which says as much.
      if (position && (groups.get(groupId)?.unreadCount ?? 0) > 0) cursors.received(groupId, position.seq);
    },
    head: inbox.head,
    receive: (event) => deliver(event.groupId, inbox.receive(event), 'live'),
    skip: (groupId, position) => deliver(groupId, inbox.skip(groupId, position), 'live'),
    page: (groupId, after, page, source) => deliver(groupId, inbox.page(groupId, after, page), source),
    reset(groupId, position, source) {
      const due = inbox.reset(groupId, position);
      cursors.forget(groupId);
      messages.reset(groupId);
      topics.reset.emit({ groupId, position });
      deliver(groupId, due, source);
    },
    settle: inbox.settle,
    leave(groupId) {
      inbox.close(groupId);
      cursors.forget(groupId);
      groups.remove(groupId);
      messages.leave(groupId);
      topics.left.emit({ groupId });
    },
    lagOf: inbox.lagOf,
    positionOf: inbox.positionOf,
    headOf(groupId) {
      const said = [inbox.headOf(groupId), groups.get(groupId)?.position.seq, messages.shown(groupId)?.headSeq];
      const known = said.filter((seq) => seq !== undefined);
      return known.length > 0 ? Math.max(...known) : undefined;
    },
    epochOf: (groupId) => (inbox.lagOf(groupId) === 'none' ? inbox.positionOf(groupId)?.epoch : undefined),
    positions: inbox.positions,
    stats: () => ({ ...counts, duplicates: inbox.duplicates }),
    stop() {
      stopped = true;
    },
  };
}
