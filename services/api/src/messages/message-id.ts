import { randomFillSync } from 'node:crypto';
import { v7 } from 'uuid';

/** Random bytes that one id takes. */
const BYTES_PER_ID = 16;
/** Ids whose random bytes are drawn at once: asking the system for each costs as much as checking its sender's token. */
const IDS_AT_ONCE = 256;

const pool = new Uint8Array(BYTES_PER_ID * IDS_AT_ONCE);
let used = pool.length;

function nextRandom(): Uint8Array {
  if (used >= pool.length) {
    randomFillSync(pool);
    used = 0;
  }
  const random = pool.subarray(used, used + BYTES_PER_ID);
  used += BYTES_PER_ID;
  return random;
}

/** Makes the id of a message: ids that are made at about the same time are near each other in the index. */
export function makeMessageId(): string {
  return v7({ random: nextRandom() });
}
