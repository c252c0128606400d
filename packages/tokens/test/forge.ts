import { createHmac } from 'node:crypto';
import { type CryptoKey, type JWTHeaderParameters, type JWTPayload, SignJWT } from 'jose';

export const USER_SECRET = 'user-tokens-of-these-tests-0123456789abcdef';
export const CONNECTION_SECRET = 'connection-tokens-of-these-tests-0123456789';
export const SERVICE_SECRET = 'service-tokens-of-these-tests-0123456789abc';
export const OTHER_SECRET = 'nobody-was-told-about-this-one-0123456789ab';

export function nowSeconds(): number {
  return Math.floor(Date.now() / 1_000);
}

/** A payload that is in order, except for what `changes` says; `undefined` takes a claim away. */
export function claims(changes: Readonly<Record<string, unknown>> = {}): JWTPayload {
  const now = nowSeconds();
  const all: Record<string, unknown> = { sub: 'alice', iat: now, exp: now + 300, ...changes };
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined));
}

/** Signs any claims with any secret or key, HS256 unless the header says otherwise. */
export async function sign(
  payload: JWTPayload,
  key: string | CryptoKey,
  header: Partial<JWTHeaderParameters> = {},
): Promise<string> {
  const bytes = typeof key === 'string' ? new TextEncoder().encode(key) : key;
  return new SignJWT(payload).setProtectedHeader({ alg: 'HS256', ...header }).sign(bytes);
}

const base64url = (text: string): string => Buffer.from(text).toString('base64url');

/** Signs HS256 over any header and payload, well-formed or not, which no library would do. */
export function signText(header: string, payload: string, key: string | Uint8Array): string {
  const input = `${base64url(header)}.${base64url(payload)}`;
  return `${input}.${createHmac('sha256', key).update(input).digest('base64url')}`;
}

/** The code `promise` was refused with, or `accepted`. Anything that carries no code is thrown on. */
export async function outcome(promise: Promise<unknown>): Promise<string> {
  return promise.then(
    () => 'accepted',
    (error: unknown) => {
      if (error instanceof Error && 'code' in error && typeof error.code === 'string') return error.code;
      throw error;
    },
  );
}
