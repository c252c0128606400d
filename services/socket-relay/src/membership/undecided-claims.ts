import type { Logger } from '@groupcast/service-kit';
import type { MonitorFeed } from '../monitor/monitor-feed.ts';
import type { UserSocket } from '../sessions/session.ts';
import type { Membership } from './authorisation.ts';
import type { GroupEntry } from './group-entry.ts';
import type { Removals } from './removals.ts';

const RETRY_MIN_MS = 500;
const RETRY_MAX_MS = 10_000;

/**
 * Keeps the connections whose token names groups that the API could not be asked about. They are connected, and are in those groups as soon
 * as the API has confirmed them, and not before.
 */
export interface UndecidedClaims {
  add(socket: UserSocket): void;
  /** Whether a connection on this relay would be in the group if the API confirmed it. */
  isWaiting(groupId: string): boolean;
  /** Returns the users on this relay who wait for the group. It looks at all that wait. */
  usersOf(groupId: string): string[];
  stop(): void;
}

/** Nothing is ever added to this set, so that all connections that wait for nothing can share it. */
const NOTHING = new Set<string>();

export function setOfUndecided(groupIds: readonly string[]): Set<string> {
  return groupIds.length > 0 ? new Set(groupIds) : NOTHING;
}

export function createUndecidedClaims(deps: {
  membership: Membership;
  removals: Removals;
  entry: GroupEntry;
  monitor: MonitorFeed;
  log: Logger;
}): UndecidedClaims {
  /** The waiting connections, with the groups that each is counted for. */
  const waiting = new Map<UserSocket, readonly string[]>();
  const counts = new Map<string, number>();
  let delay = RETRY_MIN_MS;
  let timer: NodeJS.Timeout | undefined;

  function forget(socket: UserSocket): void {
    const groupIds = waiting.get(socket);
    if (!groupIds) return;
    for (const groupId of groupIds) {
      const left = (counts.get(groupId) ?? 0) - 1;
      if (left > 0) counts.set(groupId, left);
      else counts.delete(groupId);
    }
    waiting.delete(socket);
    socket.off('disconnect', onDisconnect);
  }

  /** The listener is the same for all connections, and each has it once, while it waits. */
  function onDisconnect(this: UserSocket): void {
    forget(this);
  }

  async function settle(socket: UserSocket): Promise<boolean> {
    const { session } = socket.data;
    if (!socket.connected || session.undecided.size === 0) return true;
    const asked = [...session.undecided];
    const decision = await deps.membership.decideClaims(session.claims, asked);
    if (decision.undecided.length > 0) return false;
    const admitted = decision.admitted.filter(
      (groupId) =>
        session.undecided.has(groupId) && !deps.removals.removedSince(groupId, session.userId, decision.removalVersion),
    );
    for (const groupId of asked) session.undecided.delete(groupId);
    const fresh = deps.entry.grant(socket, admitted, 'token');
    if (fresh.length > 0) await deps.entry.announce(socket, fresh);
    else deps.entry.tellUndecided(socket);
    return session.undecided.size === 0;
  }

  async function retry(): Promise<void> {
    const results = await Promise.all(
      [...waiting.keys()].map(async (socket) => {
        const settled = await settle(socket).catch((error: unknown) => {
          deps.log.error({ err: error }, 'unable to settle the groups of a token');
          return true;
        });
        if (settled) forget(socket);
        return settled;
      }),
    );
    delay = results.every(Boolean) ? RETRY_MIN_MS : Math.min(RETRY_MAX_MS, delay * 2);
    timer = undefined;
    schedule();
  }

  function schedule(): void {
    if (timer || waiting.size === 0) return;
    timer = setTimeout(() => void retry(), delay * (0.75 + Math.random() / 2));
    timer.unref();
  }

  return {
    add(socket) {
      const { undecided, userId } = socket.data.session;
      forget(socket);
      const [groupId] = undecided;
      if (groupId === undefined) return;
      waiting.set(socket, [...undecided]);
      socket.on('disconnect', onDisconnect);
      for (const id of undecided) counts.set(id, (counts.get(id) ?? 0) + 1);
      const message = `user "${userId}" is in ${undecided.size} groups of the token only once somebody can be asked about them: the API at API_URL, or Redis, does not answer`;
      deps.monitor.publish({
        kind: 'warning',
        code: 'UNDECIDED_MEMBERS',
        message,
        groupId,
        socketId: socket.id,
        userId,
      });
      schedule();
    },
    isWaiting: (groupId) => counts.has(groupId),
    usersOf(groupId) {
      if (!counts.has(groupId)) return [];
      const sockets = [...waiting].filter(([, groupIds]) => groupIds.includes(groupId));
      return sockets.map(([socket]) => socket.data.session.userId);
    },
    stop() {
      clearTimeout(timer);
      waiting.clear();
      counts.clear();
    },
  };
}
