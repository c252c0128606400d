import { groupOfRoom, groupRoom, type Typing, userRoom } from '@groupcast/shared';
import type { Sender } from '../fan-out/sender.ts';
import { TokenBucket } from '../sessions/rate-limit.ts';
import type { RelayServer } from '../sessions/session.ts';
import type { Transient } from '../transient/transient.ts';
import { createTypingReceivers } from './typing-receivers.ts';
import { createTypingSources, SAY_EVERY_MS, TYPING_MS } from './typing-sources.ts';

/**
 * Shows the members of a group who is typing in it:
 *
 *   client ─▶ TypingSources (of the typist's node) ─▶ Transient ─▶ each node with members ─▶ TypingReceivers ─▶ connections
 *
 * The sources say one word a second and typist at most, and say that typing has ended where a client does not. Each node shows what it
 * hears to as many as it can: no connection gets more than 20 typing events a second, and no node sends more than it has a budget for,
 * whatever the size of a group. A connection that was shown a `true` gets its `false`, also where that was lost on the way to this node.
 *
 * Typing makes way for everything else. The first event in a while is shown at once; what follows is gathered, so that a connection gets
 * all of it with one write. While members wait for other events, nobody new is shown.
 */
export interface TypingEvents {
  /** Throws `RATE_LIMITED` if more members type than are shown. */
  report(socketId: string, typing: Typing): void;
  stop(): void;
}

/** How often it is looked for what is due, in milliseconds, while anybody types. */
const SWEEP_MS = 200;
/** How long another node's typist is shown after the last word, in milliseconds. The words come once a second, and may be late. */
const HEARD_MS = TYPING_MS + 2 * SAY_EVERY_MS;
/** Lag of writes to members above which nobody new is shown, in milliseconds. */
const MAX_LAG_MS = 20;
/** Typists of one group who are shown per second, and at once. */
const TYPISTS_PER_SECOND = 10;
/** Typing events that one node sends per second, and those of one group. In a group with more connections than half of these nobody is shown. */
const EVENTS_PER_SECOND = 20_000;
const EVENTS_OF_GROUP = EVENTS_PER_SECOND / 2;
/** Most typists that one node shows. */
const MAX_TYPISTS = 20_000;

export function createTyping(
  deps: { io: RelayServer; sender: Sender; transient: Transient },
  now: () => number = () => performance.now(),
): TypingEvents {
  const { io, sender, transient } = deps;
  const { adapter } = io.of('/');
  const sources = createTypingSources((typing) => transient.tell('typing', typing), now);
  const receivers = createTypingReceivers(now);
  const work = new TokenBucket(EVENTS_PER_SECOND, EVENTS_PER_SECOND, now);
  const groups = new Map<string, { typists: TokenBucket; work: TokenBucket }>();
  /** When each typist that is shown was heard of last, by group and user. */
  const heard = new Map<string, { typing: Typing; at: number }>();
  /** The last word about each typist that waits for the next look, and when a word was shown last. */
  let waiting = new Map<string, Typing>();
  let shownAt = Number.NEGATIVE_INFINITY;
  let timer: NodeJS.Timeout | undefined;

  const keyOf = ({ groupId, userId }: Typing): string => `${groupId}\n${userId}`;

  function othersIn(groupId: string, userId: string): string[] {
    const own = adapter.rooms.get(userRoom(userId));
    return [...(adapter.rooms.get(groupRoom(groupId)) ?? [])].filter((id) => !own?.has(id));
  }

  function send(typing: Typing, chosen: ReadonlySet<string>): number {
    if (chosen.size === 0) return 0;
    const { groupId, userId, isTyping } = typing;
    const left = [...(adapter.rooms.get(groupRoom(groupId)) ?? [])].filter((id) => !chosen.has(id));
    const exceptions = left.length > 0 ? { socketIds: left, instead: undefined } : undefined;
    sender.send(groupRoom(groupId), { name: 'typing', payload: { groupId, userId, isTyping } }, exceptions);
    return chosen.size;
  }

  function begin(typing: Typing): number {
    const key = keyOf(typing);
    const known = heard.get(key);
    if (known) {
      known.at = now();
      return 0;
    }
    if (heard.size >= MAX_TYPISTS || sender.lagMs() > MAX_LAG_MS) return 0;
    const budget = groups.get(typing.groupId) ?? {
      typists: new TokenBucket(TYPISTS_PER_SECOND, TYPISTS_PER_SECOND, now),
      work: new TokenBucket(EVENTS_OF_GROUP, EVENTS_OF_GROUP, now),
    };
    groups.set(typing.groupId, budget);
    // Looked at before the others are looked for, which takes long where hundreds type in a group of thousands.
    if (!budget.typists.take(1)) return 0;
    const others = othersIn(typing.groupId, typing.userId);
    // Each of them is sent a `false` as well.
    const events = 2 * others.length;
    if (events === 0 || !budget.work.take(events) || !work.take(events)) return 0;
    heard.set(key, { typing, at: now() });
    return send(typing, receivers.begin(others, key));
  }

  function end(typing: Typing): number {
    const key = keyOf(typing);
    if (!heard.delete(key)) return 0;
    return send({ ...typing, isTyping: false }, receivers.end(othersIn(typing.groupId, typing.userId), key));
  }

  function show(typing: Typing): number {
    shownAt = now();
    return typing.isTyping ? begin(typing) : end(typing);
  }

  function gather(typing: Typing): number {
    sweepSoon();
    if (waiting.size === 0 && now() - shownAt >= SWEEP_MS) return show(typing);
    const key = keyOf(typing);
    if (waiting.size < MAX_TYPISTS || waiting.has(key)) waiting.set(key, typing);
    return 0;
  }

  function sweep(): void {
    timer = undefined;
    const typing = sources.sweep();
    const gathered = waiting;
    waiting = new Map();
    for (const each of gathered.values()) show(each);
    for (const each of heard.values()) if (now() - each.at > HEARD_MS) end(each.typing);
    const stopped = new Map<string, Set<string>>();
    for (const { socketId, typists } of receivers.settle()) {
      for (const typist of typists) stopped.set(typist, (stopped.get(typist) ?? new Set()).add(socketId));
    }
    for (const [typist, socketIds] of stopped) {
      const [groupId = '', userId = ''] = typist.split('\n');
      send({ groupId, userId, isTyping: false }, socketIds);
    }
    for (const [groupId, budget] of groups) {
      if (budget.typists.isFull() && budget.work.isFull()) groups.delete(groupId);
    }
    if (typing > 0 || heard.size > 0 || receivers.size > 0 || groups.size > 0) sweepSoon();
  }

  function sweepSoon(): void {
    timer ??= setTimeout(sweep, SWEEP_MS).unref();
  }

  adapter.on('leave-room', (room: string, id: string) => {
    if (!timer) return;
    if (room === id) {
      sources.left(id);
      receivers.forget(id, () => true);
      return;
    }
    const groupId = groupOfRoom(room);
    if (groupId === undefined) return;
    sources.left(id, groupId);
    receivers.forget(id, (typist) => typist.startsWith(`${groupId}\n`));
  });

  transient.on('typing', gather);

  return {
    report(socketId, typing) {
      sources.report(socketId, typing);
      sweepSoon();
    },
    stop() {
      clearTimeout(timer);
    },
  };
}
