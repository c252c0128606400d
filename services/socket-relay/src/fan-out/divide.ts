import type { EncodedEvent } from './encoded-event.ts';
import { FrameBatch } from './frame-batch.ts';

/** A connection, as far as the division of a turn needs to know it. */
export interface Recipient {
  /** The frames that are not written yet. */
  readonly pending: FrameBatch | undefined;
  /** The audiences that the connection is in. It is set only while a turn is being divided. */
  audiences: AudienceSet | undefined;
  /** The batch is to be written after everything that is pending. */
  add(batch: FrameBatch): void;
}

/** The connections that were in a room at one moment. Two sends to the same connections have the same array. */
export type Audience<R extends Recipient = Recipient> = readonly R[];

export interface Sending<R extends Recipient = Recipient> {
  event: EncodedEvent;
  audience: Audience<R>;
  /** Connections of the audience that get another event in its place, or none. */
  instead: ReadonlyMap<R, EncodedEvent | undefined> | undefined;
}

/** A set of audiences. All connections that are in exactly these audiences have the same object, and get the same batch. */
export class AudienceSet {
  private readonly smaller: AudienceSet | undefined;
  private readonly audience: Audience | undefined;
  private larger: Map<Audience, AudienceSet> | undefined;
  private common: FrameBatch | undefined;

  constructor(smaller?: AudienceSet, audience?: Audience) {
    this.smaller = smaller;
    this.audience = audience;
  }

  with(audience: Audience): AudienceSet {
    this.larger ??= new Map();
    const known = this.larger.get(audience);
    if (known) return known;
    const larger = new AudienceSet(this, audience);
    this.larger.set(audience, larger);
    return larger;
  }

  sendings<R extends Recipient>(turn: readonly Sending<R>[]): Sending<R>[] {
    const audiences = this.collect();
    return turn.filter(({ audience }) => audiences.has(audience));
  }

  batch<R extends Recipient>(turn: readonly Sending<R>[]): FrameBatch {
    this.common ??= new FrameBatch(this.sendings(turn).map(({ event }) => event));
    return this.common;
  }

  /** All audiences; a turn may have had thousands. */
  private collect(): Set<Audience> {
    const audiences = new Set<Audience>();
    if (this.audience) audiences.add(this.audience);
    for (let set = this.smaller; set; set = set.smaller) if (set.audience) audiences.add(set.audience);
    return audiences;
  }
}

/**
 * Divides the sends of a turn: each connection gets the events of all its groups, in the order in which they were sent.
 * Returns the connections for which nothing was pending before, by audience.
 */
export function divide<R extends Recipient>(turn: readonly Sending<R>[]): R[][] {
  const audiences = new Set(turn.map(({ audience }) => audience));
  const exceptional = new Set(turn.flatMap(({ instead }) => (instead ? [...instead.keys()] : [])));
  const none = new AudienceSet();
  for (const audience of audiences) {
    for (const recipient of audience) recipient.audiences = (recipient.audiences ?? none).with(audience);
  }
  const divided: R[][] = [];
  for (const audience of audiences) {
    const fresh: R[] = [];
    for (const recipient of audience) {
      const { audiences: those } = recipient;
      // It was in an earlier audience as well.
      if (!those) continue;
      recipient.audiences = undefined;
      const batch = exceptional.has(recipient) ? ownBatch(recipient, those.sendings(turn)) : those.batch(turn);
      if (batch.events.length === 0) continue;
      if (!recipient.pending) fresh.push(recipient);
      recipient.add(batch);
    }
    if (fresh.length > 0) divided.push(fresh);
  }
  return divided;
}

function ownBatch<R extends Recipient>(recipient: R, sendings: readonly Sending<R>[]): FrameBatch {
  const events = sendings.map(({ event, instead }) => (instead?.has(recipient) ? instead.get(recipient) : event));
  return new FrameBatch(events.filter((event) => event !== undefined));
}
