import type { DoctorEvent, Position } from '@groupcast/shared';
import { MAX_EVENTS } from './limits.ts';

export interface EventRing {
  add: (event: DoctorEvent) => void;
  /** The SDK has handed an event to the page. Answers in which place, where no remembered packet had it. */
  shown: (groupId: string, position: Position) => number | undefined;
  readonly events: readonly DoctorEvent[];
  readonly leftOut: number;
}

/** The newest events. `onForgotten` is told of the others, oldest first. */
export function createEventRing(onForgotten: (event: DoctorEvent) => void): EventRing {
  const events: DoctorEvent[] = [];
  let leftOut = 0;
  let shown = 0;
  return {
    add(event) {
      const last = events.at(-1);
      if (
        last &&
        !event.position &&
        event.kind === 'event' &&
        (['position', 'kind', 'direction', 'event', 'groupId'] as const).every((key) => last[key] === event[key])
      ) {
        last.times = (last.times ?? 1) + 1;
        last.bytes = (last.bytes ?? 0) + (event.bytes ?? 0);
        return;
      }
      events.push(event);
      if (events.length <= MAX_EVENTS) return;
      leftOut += 1;
      onForgotten(events.shift() as DoctorEvent);
    },
    shown(groupId, { epoch, seq }) {
      shown += 1;
      const row = events.findLast(
        (event) =>
          event.groupId === groupId &&
          event.position?.epoch === epoch &&
          event.position.seq === seq &&
          !event.shown &&
          (event.kind === 'event' || event.kind === 'recovered'),
      );
      if (!row) return shown;
      row.shown = shown;
      return undefined;
    },
    get events() {
      return events;
    },
    get leftOut() {
      return leftOut;
    },
  };
}
