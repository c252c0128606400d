import { randomBytes } from 'node:crypto';
import { answerCalls, type Endpoint, remoteOf } from '../ipc/endpoint.ts';

/** A login of the page for operators. It holds no token. */
export interface PageSession {
  subject: string;
  /** Time until the token ends with which it began, in milliseconds. */
  endsInMs: number;
}

/** The logins of the page. A browser knows the id of its own. */
export interface PageSessions {
  /** Returns the id of a new session. */
  open: (session: PageSession) => Promise<string>;
  /** Returns `undefined` for one that has ended, or never was. */
  find: (id: string) => Promise<PageSession | undefined>;
  end: (id: string) => Promise<void>;
}

/** Most logins at a time: one more ends the oldest. */
const MAX_SESSIONS = 100;
const ID_BYTES = 32;

/** The sessions of this process. */
export function createPageSessions(now: () => number = () => performance.now()): PageSessions {
  const sessions = new Map<string, { subject: string; until: number }>();

  function forgetEnded(): void {
    for (const [id, { until }] of sessions) if (until <= now()) sessions.delete(id);
  }

  return {
    async open({ subject, endsInMs }) {
      forgetEnded();
      const [oldest] = sessions.keys();
      if (sessions.size >= MAX_SESSIONS && oldest !== undefined) sessions.delete(oldest);
      const id = randomBytes(ID_BYTES).toString('base64url');
      sessions.set(id, { subject, until: now() + endsInMs });
      return id;
    },
    async find(id) {
      const found = sessions.get(id);
      if (!found || found.until <= now()) return undefined;
      return { subject: found.subject, endsInMs: found.until - now() };
    },
    async end(id) {
      sessions.delete(id);
    },
  };
}

/** The calls by which workers reach the sessions of their machine. */
interface PageSessionCalls {
  'page-session-open': PageSessions['open'];
  'page-session-find': PageSessions['find'];
  'page-session-end': PageSessions['end'];
}

/** Answers a worker out of the sessions of the primary process: the next request of a browser may come to another worker. */
export function servePageSessions(worker: Endpoint, sessions: PageSessions): void {
  answerCalls<PageSessionCalls>(worker, {
    'page-session-open': sessions.open,
    'page-session-find': sessions.find,
    'page-session-end': sessions.end,
  });
}

/** The sessions of the machine, as a worker sees them. */
export function pageSessionsOfAll(primary: Endpoint): PageSessions {
  const calls = remoteOf<PageSessionCalls>(primary);
  return {
    open: async (session) => calls.ask('page-session-open', session),
    find: async (id) => calls.ask('page-session-find', id),
    end: async (id) => calls.ask('page-session-end', id),
  };
}
