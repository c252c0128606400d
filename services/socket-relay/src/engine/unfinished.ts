import { createReadingTurns } from './reading-turns.ts';

/** A connection that has not authenticated, with a packet that has not come to its end. */
export interface Holder {
  /** Ends the connection: others need its room. */
  cutUnfinished(): void;
}

/** How long a connection may hold unfinished packets before it makes room for new ones, in milliseconds: a stock client has finished by then. */
const MAKES_ROOM_AFTER_MS = 1_000;

/** Largest packet of a client that is asked for room last, in bytes: a CONNECT with a token of some hundred groups. */
const SMALL_BYTES = 32_768;

/**
 * The unfinished packets of clients that have not authenticated, WebSockets and bodies of long polling together. Their memory is
 * bounded as it comes in: above the limit nothing more is read of them, but for the first piece of new ones, and the oldest make room.
 */
export interface Unfinished {
  /** In bytes; together with what is held it may be exceeded by the first piece of each connection. */
  limit: number;
  /** Called for each that makes room. */
  onCut: () => void;
  readonly bytes: number;
  /** The holder has this many bytes now; with none it holds no place. */
  hold(holder: Holder, bytes: number): void;
  /** Whether there is room to read on, if need be after the oldest has made it. */
  makeRoom(): boolean;
  /** Cuts the oldest until the limit is kept. */
  keepLimit(): void;
}

export function createUnfinished(makesRoomAfterMs = MAKES_ROOM_AFTER_MS): Unfinished {
  /** The oldest first. */
  const held = new Map<Holder, { bytes: number; since: number }>();
  let total = 0;

  function release(holder: Holder): void {
    total -= held.get(holder)?.bytes ?? 0;
    held.delete(holder);
  }
  /** The oldest of the large ones: a client on a slow line holds little. Where all are small, the oldest. */
  function oldest(isDue: (since: number) => boolean): Holder | undefined {
    let small: Holder | undefined;
    for (const [holder, { bytes, since }] of held) {
      if (!isDue(since)) break;
      if (bytes > SMALL_BYTES) return holder;
      small ??= holder;
    }
    return small;
  }
  function cutOldest(isDue: (since: number) => boolean): boolean {
    const holder = oldest(isDue);
    if (!holder) return false;
    release(holder);
    unfinished.onCut();
    holder.cutUnfinished();
    return true;
  }

  const unfinished: Unfinished = {
    limit: Number.POSITIVE_INFINITY,
    onCut: () => undefined,
    get bytes() {
      return total;
    },
    hold(holder, bytes) {
      const known = held.get(holder);
      total += bytes - (known?.bytes ?? 0);
      if (bytes === 0) held.delete(holder);
      else if (known) known.bytes = bytes;
      else held.set(holder, { bytes, since: performance.now() });
    },
    makeRoom() {
      while (total >= unfinished.limit) {
        if (!cutOldest((since) => performance.now() - since >= makesRoomAfterMs)) return false;
      }
      return true;
    },
    keepLimit() {
      while (total > unfinished.limit && cutOldest(() => true));
    },
  };
  return unfinished;
}

/** Of this process. */
export const unfinished = createUnfinished();

/** Those who have sent much read on a few at a time, and as far as there is room: however many there are, there is time for others. */
export const readingTurns = createReadingTurns({ hasRoom: () => unfinished.makeRoom() });
