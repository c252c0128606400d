import type { Dialect } from '@groupcast/dialects';
import type { ClientEvents, Position, RelayEvents, ServiceClaims, ServiceEvents, UserClaims } from '@groupcast/shared';
import type { Server, Socket } from 'socket.io';
import type { Comeback, PreparedComeback } from './comeback.ts';
import type { InGroup } from './in-group.ts';
import type { Mark } from './marks.ts';
import type { RateLimit } from './rate-limit.ts';
import type { SessionCopy } from './stored-session.ts';

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
  groups: Map<string, InGroup>;
  /** Written before the last ping, which may not be answered yet; and before the last ping that was. */
  pinged: Mark;
  proven: Mark;
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
  /** Its client says by itself what it has received. */
  reportsCursors?: true;
  /** The offset with which a stock client came. It says so again as long as it has read nothing here. */
  cameWith?: string;
  /** How it came back, where a stock client did. */
  comeback?: Comeback;
  /** The copy of it that outlives this relay, where there is one. */
  copy?: SessionCopy;
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
  /** Why this relay has ended the session. */
  ended?: string;
  /** The decision of the handshake about the token's groups. It is used once, when the connection is welcomed. */
  decision?:
    | undefined
    | {
        admitted: string[];
        /** Groups of the user that the back end has named, the most active first; `undefined` if it should name some and cannot. */
        known: readonly string[] | undefined;
        removalVersion: number;
        positions: ReadonlyMap<string, Position>;
        /** The session to which a stock client comes back. */
        back: PreparedComeback | undefined;
      };
}

export type RelayServer = Server<ClientEvents & ServiceEvents, RelayEvents, Record<string, never>, SocketData>;
export type RelaySocket = Socket<ClientEvents & ServiceEvents, RelayEvents, Record<string, never>, SocketData>;
export type UserSocket = RelaySocket & { data: { session: UserSession } };

export function isUserSocket(socket: RelaySocket): socket is UserSocket {
  return socket.data.session.kind === 'user';
}
