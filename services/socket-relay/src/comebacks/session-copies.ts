import { type Logger, within } from '@groupcast/service-kit';
import type { FanOut } from '../fan-out/fan-out.ts';
import type { GroupLog } from '../group-log/group-log.ts';
import type { SessionStore } from '../nodes/session-store.ts';
import type { Marks } from '../sessions/marks.ts';
import type { UserSocket } from '../sessions/session.ts';
import type { SessionSource } from '../sessions/stored-session.ts';
import type { LeftSession } from '../wire-format.ts';
import { type AskedSession, pageOf, sessionIdOf } from './left-sessions.ts';
import { leftSessionOf, withoutEpoch } from './stored-comeback.ts';

/** How long the store may take to find a session, in milliseconds: the client waits for its CONNECT. */
const FIND_MS = 500;
/** Most searches under way. Further clients have new sessions. */
const MAX_FINDING = 1_000;
const SESSION_ID = /^[\w-]{7}\.[\w-]{20}$/;

/** The process that has a session by its copy. `found`: where its client stands, if that is another process, and if it is known exactly. */
export interface StoredAnswer {
  holder: string;
  found?: LeftSession | undefined;
}

/** Copies of sessions, which outlive the relay that has them. */
export interface SessionCopies {
  /** Keeps a copy of the session of this connection, which may be that of an earlier one. `holder`: the process that had it. */
  keep(socket: UserSocket, holder?: string): void;
  /** Finds the copy of a session; `undefined` if there is none, and `unknown` if the store is away, or too many are looked for. Never rejects. */
  find(asked: AskedSession): Promise<StoredAnswer | 'unknown' | undefined>;
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
  let finding = 0;

  async function findIn(from: SessionStore, asked: AskedSession): Promise<StoredAnswer | undefined> {
    const found = await from.find(asked.sessionId);
    if (!found?.kept) return found;
    const { session, last } = found.kept;
    const epochs = new Map<string, string>();
    for (const groupId of withoutEpoch(session, last, asked)) {
      const head = await groupLog.head(groupId);
      if (head) epochs.set(groupId, head.epoch);
    }
    return { holder: found.holder, found: leftSessionOf(session, last, asked, epochs) };
  }

  return {
    keep(socket, holder) {
      const sessionId = sessionIdOf(socket);
      const { session } = socket.data;
      if (!store || sessionId === undefined) return;
      const source: SessionSource = {
        page: () => pageOf(socket),
        comeback: () => session.comeback,
        isOnPage: (groupId) => session.claims.groups.includes(groupId),
        size: () => session.groups.size,
        *groupIds() {
          for (const [groupId, { since }] of session.groups) if (Number.isFinite(since)) yield groupId;
        },
        place(groupId) {
          const { since = Number.POSITIVE_INFINITY } = session.groups.get(groupId) ?? {};
          return Number.isFinite(since) ? { since, noted: marks.last, position: fanOut.cursor(groupId) } : undefined;
        },
      };
      const copy = store.keep(sessionId, source, holder);
      if (copy) session.copy = copy;
    },
    async find(asked) {
      if (!store || !SESSION_ID.test(asked.sessionId)) return undefined;
      if (finding >= MAX_FINDING) return 'unknown';
      finding += 1;
      try {
        return await within(FIND_MS, findIn(store, asked), 'the session to be found');
      } catch (error) {
        log.debug({ err: error }, 'unable to look for the copy of a session');
        return 'unknown';
      } finally {
        finding -= 1;
      }
    },
  };
}
