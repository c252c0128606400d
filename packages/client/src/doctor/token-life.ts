import type { DoctorReport } from '@groupcast/shared';
import { claimsOf } from '../api/jwt.ts';

/** The life of the token that a page sends. The token itself stays here. */
export interface TokenLife {
  sent: (token: unknown) => void;
  describe: () => DoctorReport['token'];
}

export function createTokenLife(now: () => number, asDate: (ms: number) => string): TokenLife {
  const told: DoctorReport['token'] = { kind: 'unknown', sent: 0 };
  let last: unknown;
  let expires: number | undefined;

  function dateOf(seconds: unknown): number | undefined {
    return typeof seconds === 'number' && seconds >= 0 && seconds < 8e12 ? seconds * 1_000 : undefined;
  }

  return {
    sent(token) {
      if (typeof token !== 'string' || token === '') {
        if (told.sent === 0) told.kind = 'none';
        return;
      }
      if (token === last) return;
      last = token;
      const claims = claimsOf(token);
      const issued = dateOf(claims?.['iat']);
      expires = dateOf(claims?.['exp']);
      told.sent += 1;
      told.kind = claims ? 'jwt' : 'opaque';
      told.issuedAt = issued === undefined ? undefined : asDate(issued);
      told.expiresAt = expires === undefined ? undefined : asDate(expires);
    },
    describe: () => ({ ...told, leftMs: expires === undefined ? undefined : Math.round(expires - now()) }),
  };
}
