import { createReadingTurns } from './reading-turns.ts';

/** A connection that has not authenticated, with a packet that has not come to its end. */
export interface Holder {
  /** Ends the connection: others need its room. */
  cutUnfinished(): void;
}

/** How long a connection may hold unfinished packets before it makes room for new ones, in milliseconds: a stock client has finished by then. */
const MAKES_ROOM_AFTER_MS = 1_000;

/** Bytes up to which a holder makes room last: a CONNECT with a token of some hundred groups has fewer. */
const SMALL_BYTES = 32_768;

/**
 * The unfinished packets of clients that have not authenticated, WebSockets and bodies of long polling together. Their memory is
 * bounded as it comes in: above the limit the relay reads nothing more of them, except the first piece of a new one, and the oldest of the
 * large ones make room.
 */
export interface Unfinished {
  /** Bytes that all holders may have together. The first piece of each connection may exceed it. */
  limit: number;
  /** Called for each holder that makes room. */
  onCut: () => void;
  readonly bytes: number;
  /** Sets the bytes that the holder has now. With none it holds no place. */
  hold(holder: Holder, bytes: number): void;
  /** Returns whether there is room to read on, and cuts holders that have held some for a second to make it. */
  makeRoom(): boolean;
  /** Cuts holders, however new, until the limit is kept. */
  keepLimit(): void;
}

export function createUnfinished(makesRoomAfterMs = MAKES_ROOM_AFTER_MS): Unfinished {
  /** Holders in the order in which they began, the oldest first. */
  const held = new Map<Holder, { bytes: number; since: number }>();
  let total = 0;

  function release(holder: Holder): void {
    total -= held.get(holder)?.bytes ?? 0;
    held.delete(holder);
  }
  /** Returns the oldest of the large holders, since a client on a slow line holds little; if all are small, the oldest of all. */
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

/** The unfinished packets of this process. */
export const unfinished = createUnfinished();

/** Connections that have sent much read on a few at a time, and only while there is room, so that there is time for others. */
export const readingTurns = createReadingTurns({ hasRoom: () => unfinished.makeRoom() });
