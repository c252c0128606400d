import { TokenBucket } from '../sessions/rate-limit.ts';

/*
 * Typing events per second, for one receiver. At most as many as come at once, and as many again in the second that follows: 20, however
 * many groups and typists there are.
 */
const AT_ONCE = 10;
const PER_SECOND = 10;
/** Most typists that one receiver is shown at a time. */
const MAX_SHOWN = 50;

/** One connection that is shown who types. It exists only while it is shown somebody, or was a moment ago. */
class Receiver {
  private readonly bucket: TokenBucket;
  /** Typists whose `true` it has seen, and whose `false` it has not. */
  readonly shown = new Set<string>();
  /** Those of them who have stopped. */
  readonly owed = new Set<string>();

  constructor(now: () => number) {
    this.bucket = new TokenBucket(PER_SECOND, AT_ONCE, now);
  }

  get isIdle(): boolean {
    return this.shown.size === 0 && this.bucket.isFull();
  }

  /** Returns whether the `true` of the typist may be sent now. One that may not is never sent. */
  begin(typist: string): boolean {
    if (this.shown.has(typist)) {
      // It still shows the typist, who has begun again before the `false` was sent.
      this.owed.delete(typist);
      return false;
    }
    // Those who have stopped come first.
    if (this.owed.size > 0 || this.shown.size >= MAX_SHOWN || !this.bucket.take(1)) return false;
    this.shown.add(typist);
    return true;
  }

  /** Returns whether the `false` of the typist may be sent now. One that may not is owed. */
  end(typist: string): boolean {
    if (!this.shown.has(typist)) return false;
    if (!this.bucket.take(1)) {
      this.owed.add(typist);
      return false;
    }
    this.forget(typist);
    return true;
  }

  /** Returns those whose `false` may be sent now. */
  pay(): string[] {
    return [...this.owed].filter((typist) => this.end(typist));
  }

  forget(typist: string): void {
    this.shown.delete(typist);
    this.owed.delete(typist);
  }
}

/** Decides which connections are sent a typing event, so that none gets more than 20 a second, and each `true` is followed by its `false`. */
export interface TypingReceivers {
  /** Returns those of the connections that are sent the `true` of the typist. */
  begin(socketIds: Iterable<string>, typist: string): Set<string>;
  /** Returns those of the connections that are sent the `false` of the typist now; others that saw the `true` are owed it. */
  end(socketIds: Iterable<string>, typist: string): Set<string>;
  /** Returns the typists whose `false` a connection is owed and may be sent by now, and forgets connections that are owed nothing. */
  settle(): { socketId: string; typists: string[] }[];
  /** The connection has left the groups of these typists, or is gone. */
  forget(socketId: string, isGone: (typist: string) => boolean): void;
  readonly size: number;
}

export function createTypingReceivers(now: () => number = () => performance.now()): TypingReceivers {
  const receivers = new Map<string, Receiver>();

  return {
    begin(socketIds, typist) {
      const chosen = new Set<string>();
      for (const id of socketIds) {
        const receiver = receivers.get(id) ?? new Receiver(now);
        receivers.set(id, receiver);
        if (receiver.begin(typist)) chosen.add(id);
      }
      return chosen;
    },
    end(socketIds, typist) {
      const chosen = new Set<string>();
      for (const id of socketIds) if (receivers.get(id)?.end(typist)) chosen.add(id);
      return chosen;
    },
    settle() {
      const paid: { socketId: string; typists: string[] }[] = [];
      for (const [socketId, receiver] of receivers) {
        const typists = receiver.owed.size > 0 ? receiver.pay() : [];
        if (typists.length > 0) paid.push({ socketId, typists });
        else if (receiver.isIdle) receivers.delete(socketId);
      }
      return paid;
    },
    forget(socketId, isGone) {
      const receiver = receivers.get(socketId);
      if (!receiver) return;
      for (const typist of receiver.shown) if (isGone(typist)) receiver.forget(typist);
    },
    get size() {
      return receivers.size;
    },
  };
}
