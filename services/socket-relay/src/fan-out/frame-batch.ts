import type { EncodedEvent } from './encoded-event.ts';

/** Largest sum of frames that is copied into one buffer, in bytes. A larger frame is cheaper to write as it is. */
const COPIED_BYTES = 65_536;

/**
 * Events that some connections get with one write. All connections that get exactly these events share one object, so their frames are
 * joined once, for the first connection that needs them.
 */
export class FrameBatch {
  readonly events: readonly EncodedEvent[];
  private joined: readonly Buffer[] | undefined;
  private options: readonly EncodedEvent['engineOptions'][] | undefined;
  private followers: Map<FrameBatch, FrameBatch> | undefined;

  constructor(events: readonly EncodedEvent[]) {
    this.events = events;
  }

  /** Whether every event has a frame. */
  get isFramed(): boolean {
    return this.buffers.length > 0;
  }

  /** All frames in order, in as few buffers as are worth their copies. Empty if one of the events has no frame. */
  get buffers(): readonly Buffer[] {
    this.joined ??= joinFrames(this.events);
    return this.joined;
  }

  /** The options of one engine packet for each buffer. Each list has one frame, because ws writes at most the first two of a list. */
  get engineOptions(): readonly EncodedEvent['engineOptions'][] {
    this.options ??= this.buffers.map((buffer) => ({ preEncoded: true, wsPreEncodedFrame: [buffer] }));
    return this.options;
  }

  /** This batch and then `next`. Every connection for which the same two are pending gets the same object. */
  followedBy(next: FrameBatch): FrameBatch {
    this.followers ??= new Map();
    const known = this.followers.get(next);
    if (known) return known;
    const both = new FrameBatch([...this.events, ...next.events]);
    this.followers.set(next, both);
    return both;
  }
}

function joinFrames(events: readonly EncodedEvent[]): Buffer[] {
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
