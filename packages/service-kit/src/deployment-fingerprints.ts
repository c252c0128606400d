import { createHmac } from 'node:crypto';
import type { RelaySecrets } from './token-config.ts';

const FINGERPRINT_CHARACTERS = 16;

/** Fingerprints of the secret and of the previous one: a relay that knows both belongs to relays that know either. */
export function fingerprintsOf({ secret, previousSecret }: RelaySecrets): string[] {
  return [secret, previousSecret]
    .filter((each) => each !== undefined)
    .map((each) =>
      createHmac('sha256', each).update('groupcast deployment').digest('hex').slice(0, FINGERPRINT_CHARACTERS),
    );
}
