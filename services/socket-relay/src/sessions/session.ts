import type { ClientEvents, Position, RelayEvents, ServiceClaims, ServiceEvents, UserClaims } from '@groupcast/shared';
import type { Server, Socket } from 'socket.io';
import type { RateLimit } from './rate-limit.ts';

/**
 * Why a connection is in a group: its token said so, the API did when the client asked to join, or the API has added the member, which
 * nobody on this connection has asked for.
 */
export type Admission = 'token' | 'api' | 'added';

export interface UserSession {
  kind: 'user';
  userId: string;
  claims: UserClaims;
  /** The groups this connection is in, and why. */
  groups: Map<string, Admission>;
  /** Joins under way, so that a leave that comes meanwhile takes them back. */
  joining: Map<string, Set<{ cancelled: boolean }>> | undefined;
  /** Groups its token names that the API could not be asked about yet. */
  undecided: Set<string>;
  /** The client has heard that some of them are. */
  toldUndecided?: boolean;
  /** How many events it may send, once it has sent one. */
  rate?: RateLimit;
}

export interface ServiceSession {
  kind: 'service';
  role: 'api' | 'monitor';
  claims: ServiceClaims;
}

export type Session = UserSession | ServiceSession;

export interface SocketData {
  session: Session;
  /** What the handshake decided about the token's groups, used once when the connection is welcomed. */
  decision?: undefined | { admitted: string[]; removalVersion: number; positions: ReadonlyMap<string, Position> };
}

export type RelayServer = Server<ClientEvents & ServiceEvents, RelayEvents, Record<string, never>, SocketData>;
export type RelaySocket = Socket<ClientEvents & ServiceEvents, RelayEvents, Record<string, never>, SocketData>;
export type UserSocket = RelaySocket & { data: { session: UserSession } };

export function isUserSocket(socket: RelaySocket): socket is UserSocket {
  return socket.data.session.kind === 'user';
}
