import { within } from '@groupcast/service-kit';
import { openSqlSession, type SqlSession } from '@groupcast/testing';
import type { Driver } from '../driver/driver.ts';
import { cpuMs, machineBusyMs, treeCpuMs } from '../processes.ts';
import { CONTENT, type RouteSystem, startSystem } from '../route.ts';
import { type Spread, spreadOf } from '../statistics.ts';
import { startCluster } from './cluster.ts';
import { type Held, type Holder, hold } from './holders.ts';

/** One minute of writing to one group. */
export interface MinuteSample extends Spread {
  holder: Holder;
  phase: 'before' | 'held' | 'after';
  minute: number;
  messagesPerSecond: number;
  /** Of the same services on a database whose snapshots nobody holds, which took turns with these: other work of the machine falls on both. */
  beside: { messagesPerSecond: number; p99Ms: number };
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
/** How long each of the two writes until it is the other's turn. */
const TURN_MS = 5_000;
/** How long the last messages of a turn may take beyond it; the driver itself gives up after half of that. */
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
  const systems: RouteSystem[] = [];
  try {
    const url = await postgres.createDatabase();
    for (const each of [url, await postgres.createDatabase()])
      systems.push(await startSystem(each, 1, undefined, USERS));
    const observer = await openSqlSession(url);
    const minuteOf = async (phase: MinuteSample['phase'] | 'warm-up', minute: number, held?: Held): Promise<void> => {
      const sample = { holder, minute, ...(await measureMinute(systems, observer, held)) };
      if (phase !== 'warm-up') onMinute({ ...sample, phase });
      progress(`${holder}, ${phase} ${minute}: ${describe(sample)}`);
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
    for (const system of systems) await system.stop();
    await postgres.stop();
  }
}

type Minute = Omit<MinuteSample, 'holder' | 'phase' | 'minute'>;

async function measureMinute(systems: readonly RouteSystem[], observer: SqlSession, held?: Held): Promise<Minute> {
  const [system] = systems;
  if (!system) throw new Error('nothing was started');
  const totals = systems.map(() => ({ messages: 0, wallMs: 0, latenciesMs: [] as number[] }));
  const before = await read(observer, system.apiPid);
  const dumpsBefore = held?.dumps() ?? 0;
  for (const startedAt = performance.now(); performance.now() - startedAt < MINUTE_MS; ) {
    for (const [index, { driver }] of systems.entries()) {
      const posted = await postFor(driver);
      const total = totals[index]!;
      total.messages += posted.messages;
      total.wallMs += posted.wallMs;
      total.latenciesMs = total.latenciesMs.concat(posted.latenciesMs);
    }
  }
  const after = await read(observer, system.apiPid);
  const [own, beside] = totals.map(({ messages, wallMs, latenciesMs }) => ({
    messages,
    messagesPerSecond: (messages / wallMs) * 1_000,
    ...spreadOf(latenciesMs),
  })) as [Spread & { messages: number; messagesPerSecond: number }, Spread & { messagesPerSecond: number }];
  const { messages, ...speeds } = own;
  const sessions = [...after.sessions].reduce((sum, [pid, ms]) => sum + ms - (before.sessions.get(pid) ?? 0), 0);
  return {
    ...speeds,
    beside: { messagesPerSecond: beside.messagesPerSecond, p99Ms: beside.p99Ms },
    apiUsPerMessage: ((after.apiMs - before.apiMs) * 1_000) / messages,
    postgresUsPerMessage: (sessions * 1_000) / messages,
    otherCores: (after.otherMs - before.otherMs) / (after.at - before.at),
    deadRows: after.deadRows,
    dumps: (held?.dumps() ?? 0) - dumpsBefore,
  };
}

function describe(minute: Minute): string {
  const { messagesPerSecond, p50Ms, p99Ms, beside, apiUsPerMessage, postgresUsPerMessage, otherCores } = minute;
  return [
    `${messagesPerSecond.toFixed(0)}/s, p50 ${p50Ms.toFixed(1)}, p99 ${p99Ms.toFixed(1)} ms`,
    `beside ${beside.messagesPerSecond.toFixed(0)}/s, p99 ${beside.p99Ms.toFixed(1)} ms`,
    `API ${apiUsPerMessage.toFixed(0)} and PostgreSQL ${postgresUsPerMessage.toFixed(0)} µs`,
    `${otherCores.toFixed(1)} cores of others, ${minute.deadRows} dead rows, ${minute.dumps} dumps`,
  ].join('; ');
}

async function postFor(driver: Driver) {
  const input = { writers: WRITERS, groups: 1, content: CONTENT, ms: TURN_MS };
  return within(TURN_MS + LATE_MS, driver.ask('post', input), 'a turn of writing');
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
