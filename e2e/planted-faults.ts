import { ADDRESSES } from './planted/addresses.ts';
import { ON_THE_WAY } from './planted/on-the-way.ts';
import { READERS } from './planted/readers.ts';
import { RECIPIENTS } from './planted/recipients.ts';
import { REDIS } from './planted/redis.ts';
import type { MessageFault } from './planted/scene.ts';
import { SECRETS } from './planted/secrets.ts';
import type { PlantedFault } from './planted/stage.ts';
import { STATES } from './planted/states.ts';

/*
 * Faults that are planted one at a time into real processes, each with what has to be said about it. One stage serves all of them: an API on
 * PostgreSQL, two relays with one Redis, and relays that are wrong by themselves.
 */

/** Faults on the way of a message, which its trace and the doctor name. */
export const MESSAGE_FAULTS: readonly MessageFault[] = [...ON_THE_WAY, ...RECIPIENTS, ...READERS];

/** Further faults, of which the doctor alone can tell: nothing is saved, or nobody can be asked about it. */
export const PLANTED_FAULTS: readonly PlantedFault[] = [...ADDRESSES, ...SECRETS, ...STATES, ...REDIS];
