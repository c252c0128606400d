import { z } from 'zod';
import { EPOCH_PATTERN } from './positions.ts';

export const epochSchema = z.string().regex(EPOCH_PATTERN, { error: 'must be <generation>-<random>' });
/** The `seq` of an event, counted from 1. */
export const seqSchema = z.int().min(1);
/** A position that a reader stands at: `seq` 0 is before the first event. */
export const positionSchema = z.object({ epoch: epochSchema, seq: z.int().min(0) });
