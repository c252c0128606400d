/** A reader that can be paused: a WebSocket, whose own pauses are kept. */
export interface Reader {
  pause(): void;
  resume(): void;
}

/** Readers that read on in one turn of the event loop. Each takes the bytes that have come meanwhile, 64 KiB at most. */
const PER_TURN = 4;

/**
 * Reads many connections that each send a lot a few at a time, so that a turn of the event loop stays short and others are served in
 * between. The newest reads on first: a client that comes does not wait for a crowd that was there before.
 */
export interface ReadingTurns {
  /** Pauses the reader until it is its turn. */
  wait(reader: Reader): void;
  /** The reader needs no turn any more, and reads on if it waits for one. */
  end(reader: Reader): void;
}

export function createReadingTurns(perTurn = PER_TURN): ReadingTurns {
  /** Waiting readers, in the order in which they came. */
  const waiting = new Set<Reader>();
  let scheduled: NodeJS.Immediate | undefined;

  function take(): void {
    scheduled = undefined;
    const all = [...waiting];
    for (const reader of all.slice(-perTurn)) {
      waiting.delete(reader);
      reader.resume();
    }
    if (waiting.size > 0) schedule();
  }
  function schedule(): void {
    scheduled ??= setImmediate(take);
  }

  return {
    wait(reader) {
      waiting.add(reader);
      reader.pause();
      schedule();
    },
    end(reader) {
      if (waiting.delete(reader)) reader.resume();
    },
  };
}
