import type { Logger } from '@groupcast/service-kit';
import { isUserSocket, type RelayServer, type UserSocket } from '../relay-server.ts';
import type { GroupEntry } from './group-entry.ts';
import type { Membership } from './membership.ts';
import { endSession } from './session-ending.ts';

/** How long the confirmation may take in all, in milliseconds: the relay gives nobody anything meanwhile, and renews no lease. */
const CONFIRM_WITHIN_MS = 5_000;
/** Connections that cannot be confirmed come back within this time, in milliseconds. */
const SPREAD_MS = 5_000;

/**
 * For a relay that was cut off while changes of members were lost: a removal may have been among them. Each connection keeps the groups
 * that it would be let into if it came now. Where nobody can say, the connection is closed, and comes back.
 */
export interface MembershipConfirmation {
  /** The change log has lost changes that this relay may not have carried out. */
  isDue(): void;
  /** Resolves once every connection is in the groups that are confirmed and in no other. Does nothing where it is not due. */
  confirm(): Promise<void>;
}

export function createMembershipConfirmation(deps: {
  io: RelayServer;
  membership: Membership;
  entry: GroupEntry;
  log: Logger;
}): MembershipConfirmation {
  const { io, membership, entry, log } = deps;
  let due = false;

  async function confirmOne(socket: UserSocket, late: Promise<never>): Promise<void> {
    const { claims, groups } = socket.data.session;
    const asked = [...groups.keys()];
    if (asked.length === 0) return;
    try {
      const confirmed = await Promise.race([membership.confirm(claims, asked), late]);
      const gone = asked.filter((groupId) => !confirmed.has(groupId));
      if (gone.length > 0) entry.expel(socket, gone, 'member-removed');
    } catch (error) {
      log.debug({ err: error, socketId: socket.id }, 'unable to confirm the groups of a connection; it comes anew');
      const message = 'this relay cannot confirm the groups of the connection, connect again';
      const retryAfterMs = Math.floor(Math.random() * SPREAD_MS);
      endSession(socket, { code: 'BROKER_UNAVAILABLE', message, next: 'reconnect', retryAfterMs });
    }
  }

  return {
    isDue() {
      due = true;
    },
    async confirm() {
      if (!due) return;
      due = false;
      const users = [...io.of('/').sockets.values()].filter(isUserSocket);
      if (users.length === 0) return;
      log.warn(
        { connections: users.length },
        'changes of members were lost while this relay was cut off; confirming the groups of its connections',
      );
      let timer: NodeJS.Timeout | undefined;
      const late = new Promise<never>((_resolve, reject) => {
        timer = setTimeout(() => reject(new Error('the API did not confirm all groups in time')), CONFIRM_WITHIN_MS);
      });
      await Promise.all(users.map(async (socket) => confirmOne(socket, late))).finally(() => clearTimeout(timer));
    },
  };
}
