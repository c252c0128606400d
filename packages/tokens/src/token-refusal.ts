import { errors } from 'jose';
import { KeySetBehind, KeySetUnreadable, KeyUnusable } from './key-set.ts';
import { otherUserClaim } from './user-claim.ts';

/** The fault of a token, for programs. */
export type TokenFault =
  | 'missing'
  | 'malformed'
  | 'algorithm'
  | 'extensions'
  | 'signature'
  | 'key'
  | 'purpose'
  | 'sub'
  | 'iat'
  | 'nbf'
  | 'exp'
  | 'iss'
  | 'aud'
  | 'groups'
  | 'claims';

/** The reason why a token was refused. It is the cause of the error that its owner gets, and is told to the owner only where `explain` is set. */
export class TokenRefusal extends Error {
  override readonly name = 'TokenRefusal';
  readonly fault: TokenFault;

  constructor(fault: TokenFault, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.fault = fault;
  }
}

/** The refusal behind an error of a verifier; nothing where something else went wrong. */
export function refusalOf(error: unknown): TokenRefusal | undefined {
  const { cause } = (error ?? {}) as { cause?: unknown };
  return cause instanceof TokenRefusal ? cause : undefined;
}

/** The cause of a refusal of a token that was right, and is not valid any more: it still says whose it was. */
export class TokenOver extends Error {
  override readonly name = 'TokenOver';
  readonly userId: string;

  constructor(userId: string) {
    super('the token is not valid any more');
    this.userId = userId;
  }
}

/** The user whose token was right, and is not valid any more; nothing for any other error. */
export function ownerOfOldToken(error: unknown): string | undefined {
  const { cause } = (error ?? {}) as { cause?: unknown };
  return cause instanceof TokenOver ? cause.userId : undefined;
}

/** The configuration that a token is checked against, so that a refusal can name it. */
export interface CheckedWith {
  /** The variable that holds the key. */
  key: string;
  algorithms: string;
  issuer?: string;
  audience?: string;
}

const CLAIMS: ReadonlySet<string> = new Set(['sub', 'iat', 'nbf', 'exp', 'iss', 'aud']);

function claimRefusal(error: errors.JWTClaimValidationFailed, checked: CheckedWith): TokenRefusal {
  const { claim, payload } = error;
  const fault = CLAIMS.has(claim) ? (claim as TokenFault) : 'claims';
  const expected = claim === 'iss' ? checked.issuer : claim === 'aud' ? checked.audience : undefined;
  if (payload[claim] === undefined)
    return new TokenRefusal(fault, `it has no ${claim}${claim === 'sub' ? otherUserClaim(payload, claim) : ''}`, error);
  if (claim === 'nbf' && typeof payload.nbf === 'number') {
    return new TokenRefusal(fault, 'its nbf lies in the future: it is not valid yet, or the clocks differ', error);
  }
  return new TokenRefusal(fault, `its ${claim} is ${expected ? `not ${expected}` : 'malformed'}`, error);
}

/** Puts the error of a verification into words. Returns nothing for what says nothing about the token. */
export function explainRefusal(error: unknown, checked: CheckedWith): TokenRefusal | undefined {
  if (error instanceof TokenRefusal) return error;
  if (error instanceof KeySetUnreadable || error instanceof KeySetBehind) return undefined;
  if (error instanceof errors.JOSEAlgNotAllowed) {
    return new TokenRefusal('algorithm', `its algorithm (alg) is not ${checked.algorithms}`, error);
  }
  if (error instanceof errors.JWSSignatureVerificationFailed) {
    return new TokenRefusal('signature', `its signature was not made with ${checked.key}`, error);
  }
  if (error instanceof errors.JWKSNoMatchingKey) {
    return new TokenRefusal('key', `no key of ${checked.key} has its kid and algorithm`, error);
  }
  if (error instanceof errors.JWKSMultipleMatchingKeys) {
    return new TokenRefusal('key', `it names no kid, and several keys of ${checked.key} would fit`, error);
  }
  if (error instanceof KeyUnusable) return new TokenRefusal('key', 'the key that it names cannot be used', error);
  if (error instanceof errors.JWTClaimValidationFailed) return claimRefusal(error, checked);
  if (error instanceof errors.JWTInvalid) return new TokenRefusal('claims', 'its claims are no JSON object', error);
  if (error instanceof errors.JOSENotSupported) {
    return new TokenRefusal('extensions', 'its header asks for an extension (crit) that is not known', error);
  }
  return new TokenRefusal('malformed', 'it is no compact JWT (three parts of base64url)', error);
}

/** A token that was copied with the scheme of its header in front of it is the token behind it. */
export function withoutScheme(token: string | undefined): string | undefined {
  return token?.replace(/^bearer +/i, '');
}
