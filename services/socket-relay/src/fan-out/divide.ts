import type { Outlet } from './connection-writer.ts';
import type { EncodedEvent } from './encoded-event.ts';
import { Parcel } from './frame-batch.ts';

/** Everybody who was in a room at one moment. Two sends to the same people have the same array. */
export type Audience = readonly Outlet[];

export interface Sending {
  event: EncodedEvent;
  audience: Audience;
  /** Connections of the audience that get something else in its place, or nothing. */
  instead: ReadonlyMap<Outlet, EncodedEvent | undefined> | undefined;
}

/** A set of audiences; connections that are in exactly these have the same one, and get one parcel. */
export class Share {
  private readonly smaller: Share | undefined;
  private readonly audience: Audience | undefined;
  private larger: Map<Audience, Share> | undefined;
  private common: Parcel | undefined;

  constructor(smaller?: Share, audience?: Audience) {
    this.smaller = smaller;
    this.audience = audience;
  }

  with(audience: Audience): Share {
    this.larger ??= new Map();
    const known = this.larger.get(audience);
    if (known) return known;
    const larger = new Share(this, audience);
    this.larger.set(audience, larger);
    return larger;
  }

  sendings(turn: readonly Sending[]): Sending[] {
    const audiences = this.collect(new Set());
    return turn.filter(({ audience }) => audiences.has(audience));
  }

  parcel(turn: readonly Sending[]): Parcel {
    this.common ??= new Parcel(this.sendings(turn).map(({ event }) => event));
    return this.common;
  }

  private collect(audiences: Set<Audience>): Set<Audience> {
    if (this.audience) audiences.add(this.audience);
    this.smaller?.collect(audiences);
    return audiences;
  }
}

/**
 * Divides what was sent in a turn: each connection is owed the events of all its groups, in the order in which they were sent.
 * Returns those that were owed nothing before, by audience.
 */
export function divide(turn: readonly Sending[]): Outlet[][] {
  const audiences = new Set(turn.map(({ audience }) => audience));
  const exceptional = new Set(turn.flatMap(({ instead }) => (instead ? [...instead.keys()] : [])));
  const nothing = new Share();
  for (const audience of audiences) {
    for (const outlet of audience) outlet.share = (outlet.share ?? nothing).with(audience);
  }
  const fresh: Outlet[][] = [];
  for (const audience of audiences) {
    const indebted: Outlet[] = [];
    for (const outlet of audience) {
      const { share } = outlet;
      // It was in an earlier audience as well.
      if (!share) continue;
      outlet.share = undefined;
      const parcel = exceptional.has(outlet) ? ownParcel(outlet, share.sendings(turn)) : share.parcel(turn);
      if (parcel.events.length === 0) continue;
      if (!outlet.owed) indebted.push(outlet);
      outlet.owe(parcel);
    }
    if (indebted.length > 0) fresh.push(indebted);
  }
  return fresh;
}

function ownParcel(outlet: Outlet, sendings: readonly Sending[]): Parcel {
  const events = sendings.map(({ event, instead }) => (instead?.has(outlet) ? instead.get(outlet) : event));
  return new Parcel(events.filter((event) => event !== undefined));
}
