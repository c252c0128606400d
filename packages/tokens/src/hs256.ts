import { createHmac, createSecretKey, type KeyObject, timingSafeEqual } from 'node:crypto';
import { errors, type JWTPayload } from 'jose';

/** Default for the seconds by which the clocks of two machines may differ. */
export const DEFAULT_CLOCK_SKEW_SECONDS = 10;

/** Claims that a token may have to have. `exp` is always required. */
export type RequiredClaim = 'sub' | 'iat' | 'exp';

/** By default a token has all of them. */
export const ALL_REQUIRED: readonly RequiredClaim[] = ['sub', 'iat', 'exp'];

/** Required values of `iss` and `aud`; unset, any value is accepted. */
export interface ExpectedClaims {
  issuer?: string;
  audience?: string;
  required?: readonly RequiredClaim[];
  clockSkewSeconds?: number;
}

/** A token divided into its parts. Nothing in it is verified. */
export interface UnverifiedToken {
  /** All of it. */
  text: string;
  header: Readonly<Record<string, unknown>>;
  claims: JWTPayload;
  /** The signed part, as it was sent. */
  input: string;
  signature: string;
}

/** The claims of a token that is valid, or has only expired. */
export interface Verified {
  payload: JWTPayload;
  expired: boolean;
}

// RFC 7515 knows no padding and no whitespace. Node skips what is not of the alphabet, and a character too many.
const BASE64URL = /^[\w-]+$/;
/** Longest header that is kept, in characters of its encoding. */
const MAX_KEPT_HEADER = 256;
const utf8 = new TextDecoder('utf-8', { fatal: true });

function readObject(part: string): Record<string, unknown> | undefined {
  if (!BASE64URL.test(part) || part.length % 4 === 1) return undefined;
  try {
    const value: unknown = JSON.parse(utf8.decode(Buffer.from(part, 'base64url')));
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : undefined;
  } catch {
    return undefined;
  }
}

/** The header that was read last: all tokens of a signer have the same. */
let lastHeader: { text: string; header: UnverifiedToken['header'] } | undefined;

function readHeader(text: string): UnverifiedToken['header'] | undefined {
  if (lastHeader?.text === text) return lastHeader.header;
  const header = readObject(text);
  // A long one would stay for the sake of one sender.
  if (header && text.length <= MAX_KEPT_HEADER) lastHeader = { text, header: Object.freeze(header) };
  return header;
}

/** Divides a compact JWT into its parts. `undefined` where it is not one. */
export function readToken(token: string): UnverifiedToken | undefined {
  const first = token.indexOf('.');
  const second = token.indexOf('.', first + 1);
  if (first < 0 || second < 0 || token.includes('.', second + 1)) return undefined;
  const header = readHeader(token.slice(0, first));
  const claims = readObject(token.slice(first + 1, second));
  if (!header || !claims) return undefined;
  return { text: token, header, claims, input: token.slice(0, second), signature: token.slice(second + 1) };
}

/** The secrets that are set, the current one first. */
export function secretKeys(...secrets: readonly (string | undefined)[]): KeyObject[] {
  return secrets.flatMap((secret) => (secret ? [createSecretKey(Buffer.from(secret))] : []));
}

/** As text: an encoding with other trailing bits is another token, and none that a signer makes. */
function isSignedWith(key: KeyObject, { input, signature }: UnverifiedToken): boolean {
  const expected = Buffer.from(createHmac('sha256', key).update(input).digest('base64url'));
  const given = Buffer.from(signature);
  return given.length === expected.length && timingSafeEqual(given, expected);
}

/** Longest token that is remembered, in characters. */
const MAX_REMEMBERED_LENGTH = 4_096;

/** Tells whether a token's signature is right. */
export type SignatureCheck = (token: UnverifiedToken) => boolean;

/** Tries each key, because secrets are rotated. */
export function createSignatureCheck(keys: readonly KeyObject[]): SignatureCheck {
  return (token) => keys.some((key) => isSignedWith(key, token));
}

/**
 * Remembers the last `max` tokens whose signature was right: a caller sends the same one with every request. Only the signature is remembered.
 * What the claims say, and whether the token has expired, is decided each time.
 */
export function rememberSignatures(check: SignatureCheck, max: number): SignatureCheck {
  const signed = new Set<string>();
  return (token) => {
    if (signed.has(token.text)) return true;
    if (!check(token)) return false;
    if (token.text.length > MAX_REMEMBERED_LENGTH) return true;
    signed.add(token.text);
    if (signed.size > max) {
      const [oldest] = signed;
      if (oldest !== undefined) signed.delete(oldest);
    }
    return true;
  };
}

function wrong(claims: JWTPayload, claim: string): errors.JWTClaimValidationFailed {
  return new errors.JWTClaimValidationFailed(`"${claim}" is missing or wrong`, claims, claim);
}

function checkClaims(claims: JWTPayload, expected: ExpectedClaims): Verified {
  const { iss, sub, aud, iat, nbf, exp } = claims;
  const now = Math.floor(Date.now() / 1000);
  const { clockSkewSeconds = DEFAULT_CLOCK_SKEW_SECONDS, required = ALL_REQUIRED } = expected;
  if (sub === undefined && required.includes('sub')) throw wrong(claims, 'sub');
  if (iat === undefined ? required.includes('iat') : typeof iat !== 'number') throw wrong(claims, 'iat');
  if (typeof exp !== 'number') throw wrong(claims, 'exp');
  if (expected.issuer !== undefined && iss !== expected.issuer) throw wrong(claims, 'iss');
  if (expected.audience !== undefined && aud !== expected.audience) {
    if (!Array.isArray(aud) || !aud.includes(expected.audience)) throw wrong(claims, 'aud');
  }
  if (nbf !== undefined && !(typeof nbf === 'number' && nbf <= now + clockSkewSeconds)) {
    throw wrong(claims, 'nbf');
  }
  return { payload: claims, expired: exp <= now - clockSkewSeconds };
}

/**
 * Decides as jose's `jwtVerify` does with `algorithms: ['HS256']`, or refuses where jose accepts, for a sixth of the CPU: without
 * WebCrypto's thread pool. `hs256.unit.test.ts` holds the two to each other.
 *
 * Throws jose's errors; an expired token is returned, so that the caller can tell "expired,
 * and that is all" from "wrong, and expired as well".
 */
export function verifyHs256(token: UnverifiedToken, isSigned: SignatureCheck, expected: ExpectedClaims): Verified {
  const { header, claims } = token;
  if (header['alg'] !== 'HS256') throw new errors.JOSEAlgNotAllowed('alg is not HS256');
  if (header['crit'] !== undefined || header['b64'] === false) throw new errors.JWSInvalid('extensions are not known');
  if (!isSigned(token)) throw new errors.JWSSignatureVerificationFailed();
  return checkClaims(claims, expected);
}
