/** Audiences that are ours. They pick the verifier of a token; `JWT_AUDIENCE` may be none of them. */
export const AUDIENCE = {
  /** Connection tokens: the API signs them, only the relay takes them. */
  connection: 'groupcast-user',
  /** Service tokens for the relay. */
  relay: 'groupcast-relay',
  /** Service tokens for the API's `/internal` routes. */
  api: 'groupcast-api',
} as const;

/** What a service token may be used for. `relay`: the relay asking the API. */
export const SERVICE_SCOPES = ['broadcast', 'monitor', 'admin', 'relay'] as const;
export type ServiceScope = (typeof SERVICE_SCOPES)[number];

/** Longest life of connection and service tokens, in seconds. */
export const MAX_SHORT_TOKEN_SECONDS = 600;

/** Longer tokens are refused unread, in characters. Room for the ids of some 1,500 groups. */
export const MAX_TOKEN_LENGTH = 100_000;
/** What a connection token's list of groups may take, in bytes of JSON: base64 makes it a third longer. */
export const MAX_TOKEN_GROUPS_BYTES = 60_000;

/** A verified user or connection token. Times are Unix seconds, as in the JWT. */
export interface UserClaims {
  kind: 'user' | 'connection';
  userId: string;
  issuedAt: number;
  expiresAt: number;
  groups: string[];
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
