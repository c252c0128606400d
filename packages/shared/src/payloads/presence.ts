import type { ErrorBody } from '../errors.ts';

/** The users with connections in a group, on all relays. */
export interface PresenceResult {
  users: { userId: string; connections: number }[];
  numUsers: number;
  numConnections: number;
}

/** The same of many groups; of each that cannot be answered the reason. */
export interface PresencesResult {
  groups: Record<string, PresenceResult | { error: ErrorBody }>;
}
