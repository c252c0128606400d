/** Fewest entries at which it is worth looking for those that are over. */
const SWEEP_ENTRIES = 1_024;

/**
 * A queue, and a stack, of entries that may be over before it is their turn: they take none, and are not kept. Both ends cost the same however
 * many entries wait, where `shift` of a long array moves all of them.
 */
export class LiveQueue<Entry> {
  private entries: (Entry | undefined)[] = [];
  /** Index of the oldest one. */
  private head = 0;
  /** Length at which the entries that are over are left out next: at twice those that were not, so that one entry costs one look. */
  private sweepAt = SWEEP_ENTRIES;

  private readonly isOver: (entry: Entry) => boolean;

  constructor(isOver: (entry: Entry) => boolean) {
    this.isOver = isOver;
  }

  /** Entries that are kept, among them some that are over. */
  get size(): number {
    return this.entries.length - this.head;
  }

  push(entry: Entry): void {
    if (this.size >= this.sweepAt) this.sweep();
    this.entries.push(entry);
  }

  /** Takes the oldest entry that is not over. */
  takeOldest(): Entry | undefined {
    while (this.head < this.entries.length) {
      const entry = this.entries[this.head];
      this.entries[this.head] = undefined;
      this.head += 1;
      if (entry !== undefined && !this.isOver(entry)) return this.taken(entry);
    }
    return this.taken(undefined);
  }

  /** Takes the newest entry that is not over. */
  takeNewest(): Entry | undefined {
    while (this.size > 0) {
      const entry = this.entries.pop();
      if (entry !== undefined && !this.isOver(entry)) return this.taken(entry);
    }
    return this.taken(undefined);
  }

  /** Gives back the places of those that were taken, where they are half of all. */
  private taken(entry: Entry | undefined): Entry | undefined {
    if (this.head > SWEEP_ENTRIES && this.head * 2 > this.entries.length) this.shorten(this.entries.slice(this.head));
    else if (this.size === 0) this.shorten([]);
    return entry;
  }

  private sweep(): void {
    this.shorten(this.entries.slice(this.head).filter((entry) => entry !== undefined && !this.isOver(entry)));
    this.sweepAt = Math.max(SWEEP_ENTRIES, this.size * 2);
  }

  private shorten(entries: (Entry | undefined)[]): void {
    this.entries = entries;
    this.head = 0;
  }
}
