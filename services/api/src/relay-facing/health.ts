import type { HttpScope } from '@groupcast/service-kit';
import { within } from '@groupcast/service-kit';
import { isReadOnly, StorageFailure } from '../db/database-errors.ts';
import { missingMigrations } from '../db/migrate.ts';
import type { WatchedDatabase } from '../db/watched-database.ts';
import { healthAnswer } from '../http/answers.ts';
import type { RelayPort } from '../outbox/relay-connection.ts';

/** How long the database has for each question, in milliseconds. A caller waits for two at most. */
const DATABASE_TIMEOUT_MS = 2_000;

type DatabaseState = 'writable' | 'read-only' | 'out-of-order' | 'unreachable';

/** The state of the database as this process sees it. */
async function stateOf(db: Pick<WatchedDatabase, 'check'>): Promise<DatabaseState> {
  try {
    await within(DATABASE_TIMEOUT_MS, db.check(), 'the database');
    return 'writable';
  } catch (error) {
    if (isReadOnly(error)) return 'read-only';
    return error instanceof StorageFailure ? 'out-of-order' : 'unreachable';
  }
}

/** Answers nothing where the database does not: its state says so already. */
async function ifAnswered<T>(work: Promise<T>): Promise<T | undefined> {
  return within(DATABASE_TIMEOUT_MS, work, 'the database').catch(() => undefined);
}

/** `GET /internal/health`: the state of the hops behind the API, for operators and `groupcast doctor`. It answers 200 while they fail, too. */
export function healthRoute(
  scope: HttpScope,
  { db, relay }: { db: WatchedDatabase; relay: Pick<RelayPort, 'connected'> },
): void {
  scope.get(
    '/internal/health',
    {
      schema: {
        summary: 'How the database, and the connection to the relay, look from the API',
        response: { 200: healthAnswer.describe('The state of each, also where one fails') },
      },
    },
    async () => {
      const [state, missing, isPooled] = await Promise.all([
        stateOf(db),
        ifAnswered(missingMigrations(db)),
        ifAnswered(db.isPooled?.() ?? Promise.resolve(false)),
      ]);
      const known = {
        ...(missing === undefined ? {} : { missingMigrations: missing }),
        ...(isPooled === undefined ? {} : { isPooled }),
      };
      return { database: { kind: db.kind, state, ...known }, relay: { connected: relay.connected } };
    },
  );
}
