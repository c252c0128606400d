import { type Logger, warnOnceEvery, within } from '@groupcast/service-kit';
import type { Queryable } from '../db/database.ts';
import type { RelayPort } from '../outbox/relay-connection.ts';
import { seenAmong } from '../users/user-store.ts';

/** Tells which users are there, for answers that show it. It is a guess where nobody can say, and never throws. */
export interface OnlineUsers {
  among(groupId: string, userIds: readonly string[]): Promise<ReadonlySet<string>>;
}

/** Longest that an answer waits for the relay, in milliseconds. */
const ASK_MS = 300;
/** How long an answer of the relay, or that there was none, is used, in milliseconds. */
const KEPT_MS = 3_000;
/** How long the relay is not asked about a group in which more users are there than are remembered, in milliseconds. */
const LARGE_KEPT_MS = 60_000;
/** Most users of a group, and most groups, that are remembered. */
const MAX_USERS = 1_000;
const MAX_GROUPS = 500;

interface Known {
  /** Undefined where the relay has not said it. */
  users: Promise<ReadonlySet<string> | undefined>;
  until: number;
}

/** Asks the relay, and where it does not say in time takes those who were seen lately. */
export function createOnlineUsers(deps: {
  relay: Pick<RelayPort, 'connected' | 'getPresence'>;
  db: Queryable;
  log: Logger;
}): OnlineUsers {
  const { relay, db, log } = deps;
  const warn = warnOnceEvery(60_000);
  const known = new Map<string, Known>();

  function noteFailure(err: unknown): undefined {
    warn('presence', (suppressed) =>
      log.warn({ err, suppressed }, 'unable to ask who is there: answers show who was seen lately'),
    );
  }

  async function ask(groupId: string, entry: Known): Promise<ReadonlySet<string> | undefined> {
    const { users } = await within(ASK_MS, relay.getPresence({ groupId }), 'the relay');
    if (users.length <= MAX_USERS) return new Set(users.map(({ userId }) => userId));
    entry.until = performance.now() + LARGE_KEPT_MS;
    return undefined;
  }

  function usersOf(groupId: string): Known['users'] {
    const now = performance.now();
    const found = known.get(groupId);
    if (found && found.until > now) return found.users;
    const entry: Known = { users: Promise.resolve(undefined), until: now + KEPT_MS };
    if (relay.connected) entry.users = ask(groupId, entry).catch(noteFailure);
    known.delete(groupId);
    known.set(groupId, entry);
    if (known.size > MAX_GROUPS) {
      const [oldest] = known.keys();
      if (oldest !== undefined) known.delete(oldest);
    }
    return entry.users;
  }

  return {
    async among(groupId, userIds) {
      if (userIds.length === 0) return new Set();
      const online = await usersOf(groupId);
      if (online) return online;
      return seenAmong(db, userIds).catch((error: unknown) => {
        noteFailure(error);
        return new Set<string>();
      });
    },
  };
}
