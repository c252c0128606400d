/** A reader that can be paused: a WebSocket, whose own pauses are kept. */
export interface Reader {
  pause(): void;
  resume(): void;
}

/** Readers that read on in one turn of the event loop. Each takes the bytes that have come meanwhile, 64 KiB at most. */
const PER_TURN = 4;
/** Milliseconds until the next look whether there is room. */
const LOOK_AGAIN_MS = 50;

/**
 * Reads many connections that each send a lot a few at a time, so that a turn of the event loop stays short and others are served in
 * between. The newest read on first, so that a client that comes does not wait for a crowd that was there before, and the oldest with them.
 */
export interface ReadingTurns {
  /** Pauses the reader until it is its turn. */
  wait(reader: Reader): void;
  /** The reader needs no turn any more, and reads on if it waits for one. */
  end(reader: Reader): void;
}

/** `hasRoom` says whether the bytes of the next reader can be kept; nobody reads on while it says no. */
export function createReadingTurns(options: { perTurn?: number; hasRoom?: () => boolean } = {}): ReadingTurns {
  const { perTurn = PER_TURN, hasRoom = () => true } = options;
  /** Waiting readers, in the order in which they came. */
  const waiting = new Set<Reader>();
  let scheduled = false;

  function take(): void {
    scheduled = false;
    let isFull = false;
    const all = [...waiting];
    // The oldest too: readers that come back again and again would keep it waiting for ever.
    const newest = perTurn > 1 ? all.slice(1 - perTurn).toReversed() : [];
    for (const reader of [...newest, ...all.slice(0, 1)]) {
      isFull = !hasRoom();
      if (isFull) break;
      // A holder that was cut to make room may be one of these readers.
      if (waiting.delete(reader)) reader.resume();
    }
    if (waiting.size > 0) schedule(isFull);
  }
  function schedule(isFull: boolean): void {
    if (scheduled) return;
    scheduled = true;
    if (isFull) setTimeout(take, LOOK_AGAIN_MS).unref();
    else setImmediate(take);
  }

  return {
    wait(reader) {
      waiting.add(reader);
      reader.pause();
      schedule(false);
    },
    end(reader) {
      if (waiting.delete(reader)) reader.resume();
    },
  };
}
