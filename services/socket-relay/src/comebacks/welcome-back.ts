import type { DisconnectReason } from 'socket.io';
import type { GroupEntry } from '../membership/group-entry.ts';
import type { Removals } from '../membership/removals.ts';
import type { PreparedComeback } from '../sessions/comeback.ts';
import { isUserSocket, type RelaySocket, type UserSocket } from '../sessions/session.ts';
import { tell } from '../sessions/tell.ts';
import type { Comebacks } from './comebacks.ts';

/** Ends of connections to which a client comes back by itself: those of Socket.IO's own connection state recovery. */
const RECOVERABLE: ReadonlySet<string> = new Set([
  'transport error',
  'transport close',
  'forced close',
  'ping timeout',
  'server shutting down',
  'forced server close',
]);

/** Welcomes stock clients to the sessions that they come back to. */
export interface WelcomeBack {
  /**
   * Gives the page its session, and admits it to the groups of the session that neither its token nor the back end names. Call it before any other
   * admission, so that there is room for them.
   */
  takeOver(socket: UserSocket, back: PreparedComeback): void;
  /** The page has on screen what it had, and is told of the groups that it is not in any more. */
  showAgain(socket: UserSocket, back: PreparedComeback): void;
  /** Tells it what it has missed, and then of its other groups. */
  announce(socket: UserSocket, live: readonly string[], back: PreparedComeback): Promise<void>;
  /** The session of this connection is kept when it goes, and outlives this relay. */
  keepWhenGone(socket: UserSocket, back: PreparedComeback | undefined): void;
}

export function createWelcomeBack({
  comebacks,
  entry,
  removals,
}: {
  comebacks: Comebacks;
  entry: GroupEntry;
  removals: Removals;
}): WelcomeBack {
  /** The listener is the same for all connections. */
  function onDisconnecting(this: RelaySocket, reason: DisconnectReason): void {
    if (isUserSocket(this)) comebacks.sessions.leaving(this, RECOVERABLE.has(reason));
  }

  return {
    takeOver(socket, { admissions, removalVersion }) {
      const { userId } = socket.data.session;
      comebacks.given();
      // It has not noticed yet that its client is gone.
      comebacks.sessions.takeOver(socket)?.conn.close();
      for (const [groupId, admission] of admissions) {
        if (!removals.removedSince(groupId, userId, removalVersion)) entry.admit(socket, [groupId], admission);
      }
    },
    showAgain(socket, { found }) {
      const { session } = socket.data;
      const isIn = (groupId: string): boolean => session.groups.has(groupId);
      if (found.opened.length > 0) session.opened = new Set(found.opened.filter(isIn));
      if (found.viewing !== undefined && isIn(found.viewing)) session.viewing = found.viewing;
      const gone = found.groups.map(([groupId]) => groupId).filter((groupId) => !isIn(groupId));
      if (gone.length > 0) tell(socket, 'left-groups', { groups: gone, reason: 'member-removed' });
    },
    async announce(socket, live, back) {
      await entry.comeBack(socket, back);
      socket.data.session.copy?.renewed();
      const again = new Set(back.found.groups.map(([groupId]) => groupId));
      const others = live.filter((groupId) => !again.has(groupId));
      if (others.length > 0) await entry.announce(socket, others);
    },
    keepWhenGone(socket, back) {
      if (!comebacks.isFor(socket)) return;
      socket.on('disconnecting', onDisconnecting);
      comebacks.copies.keep(socket, back?.holder);
    },
  };
}
