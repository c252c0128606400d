import type { Dialect } from '@groupcast/dialects';
import type { ClientEvents, Position, RelayEvents, ServiceClaims, ServiceEvents, UserClaims } from '@groupcast/shared';
import type { Server, Socket } from 'socket.io';
import type { RateLimit } from './rate-limit.ts';

/**
 * Why a connection is in a group: its token names the group, the API allowed it when the client asked to join, or the API has added the
 * member, which nobody on this connection has asked for.
 */
export type Admission = 'token' | 'api' | 'added';

/** A join under way. */
export interface Joining {
  cancelled: boolean;
  ended: Promise<void>;
}

export interface UserSession {
  kind: 'user';
  userId: string;
  claims: UserClaims;
  /** The groups that this connection is in, and why. */
  groups: Map<string, Admission>;
  /** Joins under way, so that a leave that comes meanwhile takes them back. */
  joining: Map<string, Set<Joining>> | undefined;
  /** Groups of its token that the API could not be asked about yet. */
  undecided: Set<string>;
  /** Whether the client has heard that some groups are undecided. */
  toldUndecided?: boolean;
  /** It asked in its handshake to be notified of messages. */
  notifies?: true;
  /** The vocabulary of its client; the native one if it is not set. */
  dialect?: Dialect;
  /** Groups that it has opened, in a dialect that tells those apart. */
  opened?: Set<string>;
  /** The group that it has on screen. */
  viewing?: string;
  /** Limits its events; made when it sends the first one. */
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
  /** The code with which the relay ends the session, once it does. */
  endedBy?: string;
  /** The decision of the handshake about the token's groups. It is used once, when the connection is welcomed. */
  decision?:
    | undefined
    | {
        admitted: string[];
        /** Groups of the user that the back end has named, the most active first; `undefined` if it should name some and cannot. */
        known: readonly string[] | undefined;
        removalVersion: number;
        positions: ReadonlyMap<string, Position>;
      };
}

export type RelayServer = Server<ClientEvents & ServiceEvents, RelayEvents, Record<string, never>, SocketData>;
export type RelaySocket = Socket<ClientEvents & ServiceEvents, RelayEvents, Record<string, never>, SocketData>;
export type UserSocket = RelaySocket & { data: { session: UserSession } };

export function isUserSocket(socket: RelaySocket): socket is UserSocket {
  return socket.data.session.kind === 'user';
}
