import { setTimeout } from 'node:timers/promises';
import { type Logger, within } from '@groupcast/service-kit';
import { GroupcastError } from '@groupcast/shared';
import type { NodeLeases } from '../nodes/node-leases.ts';
import { isUserSocket, type RelayServer, type UserSession, type UserSocket } from '../sessions/session.ts';
import { endSession } from '../sessions/session-ending.ts';
import type { Membership } from './authorisation.ts';
import type { GroupEntry } from './group-entry.ts';

/** How long the whole confirmation may take, in milliseconds. Meanwhile the relay delivers nothing and renews no lease. */
const CONFIRM_WITHIN_MS = 5_000;
/** Time over which connections that cannot be confirmed spread their return, in milliseconds. */
const SPREAD_MS = 5_000;

/** How long it may take until some relay finds that changes were lost: a few times as long as relays wait for the next change. */
const LOSS_FOUND_WITHIN_MS = 60_000;
/** Connections whose groups are asked about at the same time: a few questions to the API. */
const AT_ONCE = 400;

/**
 * Confirms the groups of connections after this relay was cut off: a removal may have been stored meanwhile and lost, by a Redis that came
 * back without it. Each connection keeps the groups that the API confirms. If changes were certainly lost and there is no API, it keeps the
 * groups that it would be let into now; if nobody can say, it is closed, and comes back.
 */
export interface MembershipConfirmation {
  /**
   * The change log has lost changes. They are news to this relay if it may not have carried them out: then the confirmation is due, and
   * begins at once if the relay has its lease.
   */
  changesWereLost(): void;
  /** Resolves once every connection is in the groups that are confirmed and in no other. */
  confirm(): Promise<void>;
}

export function createMembershipConfirmation(deps: {
  io: RelayServer;
  membership: Membership;
  hasApi: boolean;
  entry: GroupEntry;
  leases: Pick<NodeLeases, 'held' | 'onChange'>;
  log: Logger;
}): MembershipConfirmation {
  const { io, membership, hasApi, entry, leases, log } = deps;
  let due = false;
  let hadLease = false;
  let regainedAt = Number.NEGATIVE_INFINITY;
  leases.onChange((held) => {
    if (held && hadLease) regainedAt = performance.now();
    hadLease ||= held;
  });

  /**
   * With a lease, this relay has answered for every removal too: nothing that was lost since then is news. What was lost before may be
   * found only a while after the lease is back.
   */
  function isNews(): boolean {
    return !leases.held() || performance.now() - regainedAt < LOSS_FOUND_WITHIN_MS;
  }

  function sendAway(socket: UserSocket): void {
    const message = 'this relay cannot confirm the groups of the connection, connect again';
    const retryAfterMs = Math.floor(Math.random() * SPREAD_MS);
    endSession(socket, { code: 'BROKER_UNAVAILABLE', message, next: 'reconnect', retryAfterMs });
  }

  /** Asks again while the API is not asked at all, since it has not answered lately: it may be back, as Redis is. */
  async function askPatiently({ claims, groups }: UserSession, until: number): Promise<Set<string>> {
    for (;;) {
      try {
        return await membership.confirm(claims, [...groups.keys()]);
      } catch (error) {
        const waitMs = error instanceof GroupcastError ? error.retryAfterMs : undefined;
        if (waitMs === undefined || performance.now() + waitMs >= until) throw error;
        await setTimeout(waitMs);
      }
    }
  }

  /** Returns false if nobody could say until `until`, by `performance.now()`. */
  async function confirmOne(socket: UserSocket, until: number, isLost: boolean): Promise<boolean> {
    const { session } = socket.data;
    const asked = [...session.groups.keys()];
    if (asked.length === 0) return true;
    try {
      const left = until - performance.now();
      const confirmed = await within(Math.max(0, left), askPatiently(session, until), 'the API');
      const gone = asked.filter((groupId) => !confirmed.has(groupId));
      if (gone.length > 0) entry.expel(socket, gone, 'member-removed');
      return true;
    } catch (error) {
      log.debug({ err: error, socketId: socket.id, isLost }, 'unable to confirm the groups of a connection');
      if (isLost) sendAway(socket);
      return false;
    }
  }

  async function confirm(): Promise<void> {
    const isLost = due;
    due = false;
    if (!isLost && !hasApi) return;
    const users = [...io.of('/').sockets.values()].filter(isUserSocket);
    if (users.length === 0) return;
    const why = isLost ? 'changes of members were lost while this relay was cut off' : 'this relay was cut off';
    log.warn({ connections: users.length }, `${why}: confirming the groups of its connections`);
    const until = performance.now() + CONFIRM_WITHIN_MS;
    let unconfirmed = 0;
    const confirmSome = async (): Promise<void> => {
      for (let socket = users.pop(); socket; socket = users.pop()) {
        if (!(await confirmOne(socket, until, isLost))) unconfirmed += 1;
      }
    };
    const atOnce = Math.min(AT_ONCE, users.length);
    await Promise.all(Array.from({ length: atOnce }, confirmSome));
    if (unconfirmed === 0) return;
    const outcome = isLost ? 'they are closed, and connect again' : 'they keep their groups';
    log.warn({ connections: unconfirmed }, `unable to confirm the groups of some connections: ${outcome}`);
  }

  return {
    changesWereLost() {
      if (!isNews()) return;
      due = true;
      if (leases.held()) void confirm();
    },
    confirm,
  };
}
