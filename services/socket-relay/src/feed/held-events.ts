import { isAfter, relationOf } from '@groupcast/shared';
import type { DeliveryExceptions, FanOut, OutgoingEvent } from '../fan-out/fan-out.ts';

/** How long a gap may take to close by itself, in milliseconds: an event of another node may overtake one of this node. */
const HOLD_MS = 50;
/** Most events that are held per group. Any more are read from the log. */
const MAX_HELD = 1_000;

type Held = Map<number, { event: OutgoingEvent; except: DeliveryExceptions | undefined }>;

/** Holds events that overtook those before them, for a moment. Then the log is read instead. */
export interface HeldEvents {
  /** The event has a position above the node's cursor. */
  hold(groupId: string, event: OutgoingEvent, except: DeliveryExceptions | undefined): void;
  /** Hands on the events that follow the cursor now, and forgets those that are not above it any more. */
  release(groupId: string): void;
  forget(groupId: string): void;
  stop(): void;
}

export function createHeldEvents(deps: {
  fanOut: FanOut;
  /** Is called when the gap in front of a group's events has not closed in time. */
  onOverdue: (groupId: string) => void;
}): HeldEvents {
  const { fanOut, onOverdue } = deps;
  const held = new Map<string, Held>();
  const timers = new Map<string, NodeJS.Timeout>();

  function forget(groupId: string): void {
    held.delete(groupId);
    clearTimeout(timers.get(groupId));
    timers.delete(groupId);
  }

  return {
    hold(groupId, event, except) {
      const waiting: Held = held.get(groupId) ?? new Map();
      held.set(groupId, waiting);
      if (event.position && waiting.size < MAX_HELD) waiting.set(event.position.seq, { event, except });
      if (timers.has(groupId)) return;
      timers.set(
        groupId,
        setTimeout(() => {
          timers.delete(groupId);
          onOverdue(groupId);
        }, HOLD_MS),
      );
    },
    release(groupId) {
      const waiting = held.get(groupId);
      if (!waiting) return;
      for (let cursor = fanOut.cursor(groupId); cursor; cursor = fanOut.cursor(groupId)) {
        const next = waiting.get(cursor.seq + 1);
        if (!next?.event.position || relationOf(cursor, next.event.position) !== 'next') break;
        fanOut.deliver(groupId, next.event, next.except);
        waiting.delete(cursor.seq + 1);
      }
      const cursor = fanOut.cursor(groupId);
      for (const [seq, { event }] of waiting) {
        const isAbove = cursor && event.position && isAfter(event.position, cursor);
        if (!isAbove) waiting.delete(seq);
      }
      if (waiting.size === 0) forget(groupId);
    },
    forget,
    stop() {
      for (const timer of timers.values()) clearTimeout(timer);
    },
  };
}
