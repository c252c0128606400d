import { z } from 'zod';

/**
 * Where an event stands in its group. `seq` counts 1, 2, 3 … without holes inside an `epoch`; an `epoch` is
 * `<generation>-<random>`, and a higher generation replaces a lower one.
 */
export interface Position {
  epoch: string;
  seq: number;
}

const EPOCH_PATTERN = /^(?:0|[1-9]\d{0,14})-[A-Za-z0-9_]{1,64}$/;

export const epochSchema = z.string().regex(EPOCH_PATTERN, { error: 'must be <generation>-<random>' });
export const seqSchema = z.int().min(1);
/** A position somebody stands at: `seq` 0 is before the first event. */
export const positionSchema = z.object({ epoch: epochSchema, seq: z.int().min(0) });

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

/** Whether `a` comes before `b` in the life of a group, epochs included. */
export function isBefore(a: Position, b: Position): boolean {
  const [older, newer] = [generationOf(a.epoch), generationOf(b.epoch)];
  return older === newer ? a.seq < b.seq : older < newer;
}

/** `random` comes from the caller: it must differ between two processes that open the same generation. */
export function makeEpoch(generation: number, random: string): string {
  return `${generation}-${random}`;
}
