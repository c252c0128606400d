import { ADDRESSES } from './planted/addresses.ts';
import { BETWEEN } from './planted/between.ts';
import { REDIS } from './planted/redis.ts';
import { SECRETS } from './planted/secrets.ts';
import type { PlantedFault } from './planted/stage.ts';
import { STATES } from './planted/states.ts';

/*
 * Faults that are planted one at a time into real processes, each with what has to be said about it. One stage serves all of them: an API on
 * PostgreSQL, two relays with one Redis, and relays that are wrong by themselves.
 */

export const PLANTED_FAULTS: readonly PlantedFault[] = [...ADDRESSES, ...SECRETS, ...BETWEEN, ...STATES, ...REDIS];
