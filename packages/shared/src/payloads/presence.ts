/** The users with connections in a group, on all relays. */
export interface PresenceResult {
  users: { userId: string; connections: number }[];
  numUsers: number;
  numConnections: number;
}
