import { type Fields, fieldsOf } from '../base/parse.ts';

export interface TokenPeek {
  userId: string | undefined;
  /** How long it lives from the moment it was issued, in milliseconds: measured on one clock, the server's. */
  lifetimeMs: number | undefined;
}

/** Reads a token's own claims without verifying them, which is enough to plan a refresh and no more. Opaque tokens have none. */
export function peek(token: string): TokenPeek {
  const { sub, iat, exp } = claimsOf(token) ?? {};
  return {
    userId: typeof sub === 'string' ? sub : undefined,
    lifetimeMs: typeof iat === 'number' && typeof exp === 'number' ? Math.max(0, (exp - iat) * 1_000) : undefined,
  };
}

/** The claims of a JWT, unverified. */
export function claimsOf(token: string): Fields | undefined {
  try {
    const base64 = (token.split('.')[1] ?? '').replaceAll('-', '+').replaceAll('_', '/');
    const bytes = Uint8Array.from(atob(base64), (char) => char.codePointAt(0) ?? 0);
    return fieldsOf(JSON.parse(new TextDecoder().decode(bytes)));
  } catch {
    return undefined;
  }
}
