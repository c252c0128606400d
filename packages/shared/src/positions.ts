/**
 * Where an event stands in its group. `seq` counts 1, 2, 3 … without holes inside an `epoch`; an `epoch` is
 * `<generation>-<random>`, and a higher generation replaces a lower one.
 */
export interface Position {
  epoch: string;
  seq: number;
}

export const EPOCH_PATTERN = /^(?:0|[1-9]\d{0,14})-[A-Za-z0-9_]{1,64}$/;

/** Decides as `positionSchema` does, without the garbage that a schema makes. */
export function parsePosition(value: unknown): Position | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const { epoch, seq } = value as { epoch?: unknown; seq?: unknown };
  if (typeof epoch !== 'string' || !EPOCH_PATTERN.test(epoch)) return undefined;
  return typeof seq === 'number' && Number.isSafeInteger(seq) && seq >= 0 ? { epoch, seq } : undefined;
}

/** The generation of a well-formed epoch. */
export function generationOf(epoch: string): number {
  return Number(epoch.slice(0, epoch.indexOf('-')));
}

/**
 * How a position stands to a cursor, which is the position of the last event that somebody has:
 *
 * - `next`: the event that follows directly in the cursor's epoch. Take it, and the cursor moves there.
 * - `behind`: in the cursor's epoch, at the cursor or before it. It was taken already: a second copy.
 * - `ahead`: in the cursor's epoch, and the events between the two are missing.
 * - `older`: of an epoch with a lower generation, which the cursor's epoch has replaced. It is history.
 * - `newer`: of another epoch that the cursor's has not replaced. Its generation is higher, so that it replaces the cursor's; or it is
 *   the same, because two publishers opened it without knowing of each other, and only the log or the API can say which one counts.
 *   In either case the cursor says nothing about what is missing.
 */
export type PositionRelation = 'next' | 'behind' | 'ahead' | 'older' | 'newer';

/** How `position` stands to `cursor`: exactly one of the five, for any two positions. */
export function relationOf(cursor: Position, position: Position): PositionRelation {
  if (position.epoch === cursor.epoch) {
    if (position.seq <= cursor.seq) return 'behind';
    return position.seq === cursor.seq + 1 ? 'next' : 'ahead';
  }
  return generationOf(position.epoch) < generationOf(cursor.epoch) ? 'older' : 'newer';
}

/** Whether `position` is further than `cursor` in the same epoch, however many events are between the two. */
export function isAfter(position: Position, cursor: Position): boolean {
  const relation = relationOf(cursor, position);
  return relation === 'next' || relation === 'ahead';
}

/** Whether `a` comes before `b` in the life of a group, epochs included. Sorts positions; epochs of one generation count as one. */
export function isBefore(a: Position, b: Position): boolean {
  const [older, newer] = [generationOf(a.epoch), generationOf(b.epoch)];
  return older === newer ? a.seq < b.seq : older < newer;
}

/** `random` comes from the caller: it must differ between two processes that open the same generation. */
export function makeEpoch(generation: number, random: string): string {
  return `${generation}-${random}`;
}
