import type { EncodedEvent } from './encoded-event.ts';

/** Frames up to so many bytes are copied into one buffer; a larger one is cheaper to write as it is. */
const COPIED_BYTES = 65_536;

/** What a distinct set of connections gets in one write. It is built once, whoever needs it first. */
export class Parcel {
  readonly events: readonly EncodedEvent[];
  private gathered: readonly Buffer[] | undefined;
  private options: readonly EncodedEvent['engineOptions'][] | undefined;
  private following: Map<Parcel, Parcel> | undefined;

  constructor(events: readonly EncodedEvent[]) {
    this.events = events;
  }

  /** Whether every event has a frame. */
  get isFramed(): boolean {
    return this.buffers.length > 0;
  }

  /** All frames, in order, in as few buffers as are worth their copies; none where an event cannot be framed. */
  get buffers(): readonly Buffer[] {
    this.gathered ??= gather(this.events);
    return this.gathered;
  }

  /** What the engine is told with a packet for each buffer. ws writes the first of a list, or the first two; so each has a list of its own. */
  get engineOptions(): readonly EncodedEvent['engineOptions'][] {
    this.options ??= this.buffers.map((buffer) => ({ preEncoded: true, wsPreEncodedFrame: [buffer] }));
    return this.options;
  }

  /** This one and what comes after it, the same object for everybody who is owed the same two. */
  with(next: Parcel): Parcel {
    this.following ??= new Map();
    const known = this.following.get(next);
    if (known) return known;
    const both = new Parcel([...this.events, ...next.events]);
    this.following.set(next, both);
    return both;
  }
}

function gather(events: readonly EncodedEvent[]): Buffer[] {
  const buffers: Buffer[] = [];
  let small: Buffer[] = [];
  let bytes = 0;
  const pack = (): void => {
    if (small.length > 0) buffers.push(small.length === 1 && small[0] ? small[0] : Buffer.concat(small, bytes));
    small = [];
    bytes = 0;
  };
  for (const { frame } of events) {
    if (!frame) return [];
    if (bytes + frame.length > COPIED_BYTES) pack();
    small.push(frame);
    bytes += frame.length;
  }
  pack();
  return buffers;
}
