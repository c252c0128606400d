import { type Logger, warnOnceEvery } from '@groupcast/service-kit';
import type { UserSocket } from '../relay-server.ts';
import type { GroupEntry } from './group-entry.ts';
import type { Membership } from './membership.ts';
import type { Removals } from './removals.ts';

const RETRY_MIN_MS = 500;
const RETRY_MAX_MS = 10_000;

/**
 * Connections whose token names groups that the API could not be asked about: they are connected, are in those groups
 * as soon as the API has confirmed them, and not before.
 */
export interface UndecidedClaims {
  add(socket: UserSocket): void;
  stop(): void;
}

/** Nothing is ever added to one, so that all connections that wait for nothing can have the same. */
const NOTHING = new Set<string>();

export function setOfUndecided(groupIds: readonly string[]): Set<string> {
  return groupIds.length > 0 ? new Set(groupIds) : NOTHING;
}

export function createUndecidedClaims(deps: {
  membership: Membership;
  removals: Removals;
  entry: GroupEntry;
  log: Logger;
}): UndecidedClaims {
  const waiting = new Set<UserSocket>();
  const warn = warnOnceEvery(60_000);
  let delay = RETRY_MIN_MS;
  let timer: NodeJS.Timeout | undefined;

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
    return session.undecided.size === 0;
  }

  async function retry(): Promise<void> {
    const results = await Promise.all(
      [...waiting].map(async (socket) => {
        const settled = await settle(socket).catch((error: unknown) => {
          deps.log.error({ err: error }, 'unable to settle the groups of a token');
          return true;
        });
        if (settled) waiting.delete(socket);
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
      if (socket.data.session.undecided.size === 0) return;
      warn('undecided', (suppressed) => {
        deps.log.warn(
          { waiting: waiting.size + 1, suppressed },
          'connections wait for the API to confirm groups of tokens from before this relay started; set API_URL empty if there is no API',
        );
      });
      waiting.add(socket);
      socket.once('disconnect', () => waiting.delete(socket));
      schedule();
    },
    stop() {
      clearTimeout(timer);
      waiting.clear();
    },
  };
}
