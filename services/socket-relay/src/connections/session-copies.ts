import { type Logger, within } from '@groupcast/service-kit';
import type { FanOut } from '../fan-out/fan-out.ts';
import type { GroupLog } from '../group-log/group-log.ts';
import type { SessionStore } from '../nodes/session-store.ts';
import type { Marks } from '../sessions/marks.ts';
import type { UserSocket } from '../sessions/session.ts';
import type { LeftSession } from '../wire-format.ts';
import { type AskedSession, pageOf, sessionIdOf } from './left-sessions.ts';
import { leftSessionOf, withoutEpoch } from './stored-comeback.ts';

/** How long the store may take to find a session, in milliseconds: the client waits for its CONNECT. */
const FIND_MS = 500;
const SESSION_ID = /^[\w-]{7}\.[\w-]{20}$/;

/** Copies of sessions, which outlive the relay that has them. */
export interface SessionCopies {
  /** Keeps a copy of the session of this connection, which may be that of an earlier one. */
  keep(socket: UserSocket): void;
  /** Finds the session of a relay that does not answer any more. Never rejects. */
  find(asked: AskedSession): Promise<LeftSession | undefined>;
}

/** `store`: undefined where nothing outlives this relay. */
export function createSessionCopies(deps: {
  store: SessionStore | undefined;
  marks: Pick<Marks, 'last'>;
  fanOut: Pick<FanOut, 'cursor'>;
  groupLog: Pick<GroupLog, 'head'>;
  log: Logger;
}): SessionCopies {
  const { store, marks, fanOut, groupLog, log } = deps;

  async function findIn(from: SessionStore, asked: AskedSession): Promise<LeftSession | undefined> {
    const found = await from.find(asked.sessionId);
    if (!found) return undefined;
    const { session, last } = found;
    const epochs = new Map<string, string>();
    for (const groupId of withoutEpoch(session, last, asked)) {
      const head = await groupLog.head(groupId);
      if (head) epochs.set(groupId, head.epoch);
    }
    return leftSessionOf(session, last, asked, epochs);
  }

  return {
    keep(socket) {
      const sessionId = sessionIdOf(socket);
      const { session } = socket.data;
      if (!store || sessionId === undefined) return;
      const copy = store.keep(sessionId, {
        page: () => pageOf(socket),
        isOnPage: (groupId) => session.claims.groups.includes(groupId),
        size: () => session.groups.size,
        *groupIds() {
          for (const [groupId, { since }] of session.groups) if (Number.isFinite(since)) yield groupId;
        },
        place(groupId) {
          const { since = Number.POSITIVE_INFINITY } = session.groups.get(groupId) ?? {};
          return Number.isFinite(since) ? { since, noted: marks.last, position: fanOut.cursor(groupId) } : undefined;
        },
      });
      if (copy) session.copy = copy;
    },
    async find(asked) {
      if (!store || !SESSION_ID.test(asked.sessionId)) return undefined;
      try {
        return await within(FIND_MS, findIn(store, asked), 'the session to be found');
      } catch (error) {
        log.debug({ err: error }, 'unable to look for the session of another relay');
        return undefined;
      }
    },
  };
}
