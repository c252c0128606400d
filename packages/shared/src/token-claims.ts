/** Groupcast's own audiences. They select the verifier of a token; `JWT_AUDIENCE` may be none of them. */
export const AUDIENCE = {
  /** Connection tokens: the API signs them, only the relay takes them. */
  connection: 'groupcast-user',
  /** Service tokens for the relay. */
  relay: 'groupcast-relay',
  /** Service tokens for the API's `/internal` routes. */
  api: 'groupcast-api',
} as const;

/** The scopes of service tokens. With `relay`, the relay asks the API. */
export const SERVICE_SCOPES = ['broadcast', 'monitor', 'admin', 'relay'] as const;
export type ServiceScope = (typeof SERVICE_SCOPES)[number];

/** Longest life of connection and service tokens, in seconds. */
export const MAX_SHORT_TOKEN_SECONDS = 600;

/** Longest token, in characters; longer ones are refused unread. It has room for the ids of some 1,500 groups. */
export const MAX_TOKEN_LENGTH = 100_000;
/** Largest list of groups in a connection token, in bytes of JSON; base64 makes it a third longer. */
export const MAX_TOKEN_GROUPS_BYTES = 60_000;

/** The claim that names the user, unless another one is configured. */
export const DEFAULT_USER_CLAIM = 'sub';
const MAX_CLAIM_PATH_LENGTH = 256;
/** Names that every object inherits, or that change one where they are assigned. */
const NO_CLAIMS: ReadonlySet<string> = new Set(['__proto__', 'constructor', 'prototype']);

/** Whether this is the name of a claim, or a path of names with dots between them. */
export function isClaimPath(text: string): boolean {
  const names = text.split('.');
  return (
    text.length <= MAX_CLAIM_PATH_LENGTH && names.every((name) => /^[\x21-\x7e]+$/.test(name) && !NO_CLAIMS.has(name))
  );
}

/** A verified user or connection token. Times are Unix seconds, as in the JWT. */
export interface UserClaims {
  kind: 'user' | 'connection';
  userId: string;
  issuedAt: number;
  expiresAt: number;
  groups: string[];
  /** `false` where the user is not to be counted among those who are there; every other token has no such claim. */
  presence?: false;
  profile: { name?: string; email?: string; picture?: string };
}

/** A verified service token. */
export interface ServiceClaims {
  kind: 'service';
  subject: string;
  issuedAt: number;
  expiresAt: number;
  scopes: ReadonlySet<ServiceScope>;
}
