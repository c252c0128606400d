import { type GroupcastError, type Position, positionSchema } from '@groupcast/shared';
import type { SendOutcome } from './relay-client.ts';

/** The next step for an event that the relay did not take. */
export type Remedy =
  /** The relay's log holds other events under these positions: the group's events go out again, in a new epoch. */
  | { kind: 'open-epoch'; head: Position }
  /** The relay's log ends earlier: the cursor goes back to where it ends. */
  | { kind: 'go-back'; to: number }
  /** The relay refuses the event itself for good: another one takes its position. */
  | { kind: 'omit' }
  /** Nothing can be done now: the group waits, and is tried again. */
  | { kind: 'wait' };

const WAIT: Remedy = { kind: 'wait' };
/** Codes by which the relay refuses an event for good because of the event itself. */
const POISON_CODES: ReadonlySet<string> = new Set(['INVALID_PAYLOAD', 'PAYLOAD_TOO_LARGE']);

function headOf(error: GroupcastError): Position | undefined {
  return positionSchema.safeParse(error.details?.['head']).data;
}

export function remedyFor({ seq, error, ofEvent }: NonNullable<SendOutcome['failure']>): Remedy {
  if (!ofEvent) return WAIT;
  const head = headOf(error);
  if (error.code === 'CONFLICT' && head) return { kind: 'open-epoch', head };
  if (error.code === 'POSITION_GAP' && head && head.seq < seq) return { kind: 'go-back', to: head.seq };
  return POISON_CODES.has(error.code) ? { kind: 'omit' } : WAIT;
}

/** Shortest and longest time before a group is tried again, in milliseconds. */
const RETRY_MIN_MS = 100;
const RETRY_MAX_MS = 15_000;

/** A guess that doubles with every attempt that failed in a row, in milliseconds. */
export function backoff(attempts: number): number {
  const ceiling = Math.min(RETRY_MAX_MS, RETRY_MIN_MS * 2 ** Math.min(attempts, 16));
  return Math.round(ceiling * (0.5 + Math.random() / 2));
}

/** The relay's own delay, kept within bounds so that nothing spins or stalls: it knows better than a guess how far its members are behind. */
export function boundDelay(retryAfterMs: number): number {
  return Math.min(Math.max(retryAfterMs, RETRY_MIN_MS), RETRY_MAX_MS);
}
