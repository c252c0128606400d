import { within } from '@groupcast/service-kit';
import { openSqlSession, type SqlSession } from '@groupcast/testing';
import type { Driver } from '../driver/driver.ts';
import { cpuMs, machineBusyMs, treeCpuMs } from '../processes.ts';
import { CONTENT, startSystem } from '../route.ts';
import { type Spread, spreadOf } from '../statistics.ts';
import { startCluster } from './cluster.ts';
import { type Held, type Holder, hold } from './holders.ts';

/** One minute of writing to one group. */
export interface MinuteSample extends Spread {
  holder: Holder;
  phase: 'before' | 'held' | 'after';
  minute: number;
  messagesPerSecond: number;
  apiUsPerMessage: number;
  /** CPU time of the sessions that the API has with PostgreSQL. */
  postgresUsPerMessage: number;
  /** Cores that were busy with what is not of this measurement: where they differ, so do messages a second, and CPU time hardly. */
  otherCores: number;
  /** Dead versions of rows in all tables, as the server counts them. */
  deadRows: number;
  /** Runs of pg_dump that ended in this minute. */
  dumps: number;
}

export const WRITERS = 16;
const MINUTE_MS = 60_000;
/** How long the last messages of a minute may take beyond it; the driver itself gives up after half of that. */
const LATE_MS = 60_000;
const USERS = Array.from({ length: WRITERS }, (_, n) => `user-${n}`);
export interface HeldOptions {
  minutes: number;
  progress: (line: string) => void;
  onMinute: (sample: MinuteSample) => void;
}

/**
 * Writers post to one group, each its next message when the last was answered: a minute to warm up, a minute before, minutes in which somebody
 * else holds a snapshot, and a minute after. Every message has to reach every member, once and in its place, or it throws.
 */
export async function measureHeld(holder: Holder, { minutes, progress, onMinute }: HeldOptions): Promise<void> {
  const postgres = await startCluster();
  try {
    const url = await postgres.createDatabase();
    const system = await startSystem(url, 1, undefined, USERS);
    try {
      const observer = await openSqlSession(url);
      const meter = async (): Promise<Meter> => read(observer, system.apiPid);
      const minuteOf = async (phase: MinuteSample['phase'] | 'warm-up', minute: number, held?: Held): Promise<void> => {
        const before = await meter();
        const dumpsBefore = held?.dumps() ?? 0;
        const { messages, wallMs, latenciesMs } = await postFor(system.driver);
        const after = await meter();
        const sessions = [...after.sessions].reduce((sum, [pid, ms]) => sum + ms - (before.sessions.get(pid) ?? 0), 0);
        const sample = {
          holder,
          minute,
          messagesPerSecond: (messages / wallMs) * 1_000,
          ...spreadOf(latenciesMs),
          apiUsPerMessage: ((after.apiMs - before.apiMs) * 1_000) / messages,
          postgresUsPerMessage: (sessions * 1_000) / messages,
          otherCores: (after.otherMs - before.otherMs) / (after.at - before.at),
          deadRows: after.deadRows,
          dumps: (held?.dumps() ?? 0) - dumpsBefore,
        };
        if (phase !== 'warm-up') onMinute({ ...sample, phase });
        progress(
          `${holder}, ${phase} ${minute}: ${sample.messagesPerSecond.toFixed(0)}/s, p50 ${sample.p50Ms.toFixed(1)}, p99 ${sample.p99Ms.toFixed(1)} ms, API ${sample.apiUsPerMessage.toFixed(0)} and PostgreSQL ${sample.postgresUsPerMessage.toFixed(0)} µs, ${sample.otherCores.toFixed(1)} cores of others, ${sample.deadRows} dead rows${holder === 'pg_dump' ? `, ${sample.dumps} dumps` : ''}`,
        );
      };
      await minuteOf('warm-up', 1);
      await minuteOf('before', 1);
      const held = await hold(holder, url);
      try {
        for (let minute = 1; minute <= minutes; minute += 1) await minuteOf('held', minute, held);
      } finally {
        await held.release();
      }
      await minuteOf('after', 1);
      await observer.end();
    } finally {
      await system.stop();
    }
  } finally {
    await postgres.stop();
  }
}

async function postFor(driver: Driver) {
  const input = { writers: WRITERS, groups: 1, content: CONTENT, ms: MINUTE_MS };
  return within(MINUTE_MS + LATE_MS, driver.ask('post', input), 'a minute of writing');
}

interface Meter {
  at: number;
  apiMs: number;
  /** CPU time of each session of the API, by its process. */
  sessions: Map<number, number>;
  otherMs: number;
  deadRows: number;
}

async function read(observer: SqlSession, apiPid: number): Promise<Meter> {
  const rows = await observer.query<{ pid: number }>(
    `select pid from pg_stat_activity where datname = current_database() and backend_type = 'client backend'
     and application_name <> 'pg_dump' and state is distinct from 'idle in transaction' and pid <> pg_backend_pid()`,
  );
  const [dead] = await observer.query<{ count: number }>(
    'select coalesce(sum(n_dead_tup), 0)::int as count from pg_stat_user_tables',
  );
  return {
    at: performance.now(),
    apiMs: cpuMs(apiPid),
    sessions: new Map(rows.map(({ pid }) => [pid, cpuMs(pid)])),
    otherMs: machineBusyMs() - treeCpuMs(process.pid),
    deadRows: dead?.count ?? 0,
  };
}
