import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import {
  freePort,
  startApiProcess,
  startPostgres,
  startRelayProcess,
  TEST_SECRETS,
  tokenFor,
  until,
} from '@groupcast/testing';
import { DEFAULT_CLOCK_SKEW_SECONDS } from '@groupcast/tokens';
import { type Driver, startDriver } from './driver/driver.ts';
import { cpuNs, pidOf } from './processes.ts';
import { type Spread, spreadOf } from './statistics.ts';

/** The whole way of messages: posted to one API, saved, relayed by one relay, received by all members. */
export interface RouteSample extends Spread {
  database: string;
  writers: number;
  groups: number;
  repetition: number;
  messagesPerSecond: number;
  apiUsPerMessage: number;
  relayUsPerMessage: number;
}

export interface RouteOptions {
  repetitions: number;
  ms: number;
  loads: readonly { writers: number; groups: number }[];
}

export const ROUTE_MEMBERS = 100;
export const CONTENT = 'x'.repeat(100);
const SETTLE_MS = 2_000;
const TOKENS_ARE_NEWER_MS = (DEFAULT_CLOCK_SKEW_SECONDS + 1) * 1_000;
const WARM_UP_MS = 1_000;
const USERS = Array.from({ length: ROUTE_MEMBERS }, (_, n) => `user-${n}`);

export interface RouteSystem {
  database: string;
  apiPid: number;
  relayPid: number;
  driver: Driver;
  stop(): Promise<void>;
}

async function createGroups(apiUrl: string, count: number, userIds: readonly string[]): Promise<string[]> {
  const token = await tokenFor('user-0');
  const groupIds: string[] = [];
  for (let n = 0; n < count; n += 1) {
    const response = await fetch(`${apiUrl}/api/messaging/groups`, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body: JSON.stringify({ name: `group ${n}`, memberIds: userIds }),
    });
    if (!response.ok) throw new Error(`unable to create a group; the API answered ${response.status}`);
    const { group } = (await response.json()) as { group: { id: string } };
    groupIds.push(group.id);
  }
  return groupIds;
}

interface Variables {
  api: Record<string, string>;
  relay: Record<string, string>;
}

export interface Services {
  apiUrl: string;
  apiInternalUrl: string;
  apiPid: number;
  relayPort: number;
  relayPid: number;
  stop(): Promise<void>;
}

/** One API and one relay, which have found each other. The embedded database is in a folder of its own, which goes with them. */
export async function startServices(
  databaseUrl: string | undefined,
  extra: Variables = { api: {}, relay: {} },
): Promise<Services> {
  const dataDir = mkdtempSync(join(tmpdir(), 'groupcast-bench-'));
  const apiPort = await freePort();
  const apiUrl = `http://127.0.0.1:${apiPort}`;
  const shared = { NODE_ENV: 'production', SOCKET_CORS_ORIGIN: '*', ...TEST_SECRETS };
  const relay = await startRelayProcess({ ...shared, API_URL: apiUrl, ...extra.relay });
  const api = await startApiProcess({
    ...shared,
    ...extra.api,
    API_PORT: String(apiPort),
    RELAY_URL: relay.url,
    RELAY_PUBLIC_URL: relay.url,
    RELAY_INTERNAL_URL: relay.internalUrl,
    API_RATE_LIMIT_PER_MINUTE: '10000000',
    API_CONCURRENCY_PER_USER: '10000',
    ...(databaseUrl === undefined ? { DATA_DIR: dataDir, EMBEDDED_DATABASE: '1' } : { DATABASE_URL: databaseUrl }),
  });
  await until('the API to reach the relay', () => api.output().includes('connected to the relay'));
  return {
    apiUrl,
    apiInternalUrl: api.internalUrl,
    apiPid: pidOf(api.child),
    relayPort: relay.port,
    relayPid: pidOf(relay.child),
    async stop() {
      await Promise.all([api.stop(), relay.stop()]);
      rmSync(dataDir, { recursive: true, force: true });
    },
  };
}

/** Services with groups, in each of which all of `userIds` are members with connections of their own. */
export async function startSystem(
  databaseUrl: string | undefined,
  groups: number,
  extra?: Variables,
  userIds: string[] = USERS,
): Promise<RouteSystem> {
  const services = await startServices(databaseUrl, extra);
  const { apiUrl, relayPort, apiPid, relayPid } = services;
  const groupIds = await createGroups(apiUrl, groups, userIds);
  // A token that may be from before an addition is taken for one, and its connection is put into every group of its user.
  await pause(TOKENS_ARE_NEWER_MS);
  const driver = startDriver({ pinned: false });
  await driver.ask('open-groups', { apiUrl, relayPort, groupIds, userIds });
  return {
    database: databaseUrl === undefined ? 'embedded (PGlite)' : 'PostgreSQL',
    apiPid,
    relayPid,
    driver,
    async stop() {
      await driver.stop();
      await services.stop();
    },
  };
}

/** Three and more processes on the cores there are, as the kernel places them: none is pinned. */
export async function measureRoute(options: RouteOptions, progress: (line: string) => void): Promise<RouteSample[]> {
  const samples: RouteSample[] = [];
  const groups = Math.max(...options.loads.map((load) => load.groups));
  const postgres = await startPostgres();
  const systems: RouteSystem[] = [];
  try {
    const databases = [undefined, await postgres.createDatabase()];
    systems.push(...(await Promise.all(databases.map(async (url) => startSystem(url, groups)))));
    await pause(SETTLE_MS);
    for (const load of options.loads) {
      const input = { ...load, content: CONTENT };
      for (const { driver } of systems) await driver.ask('post', { ...input, ms: WARM_UP_MS });
      for (let repetition = 1; repetition <= options.repetitions; repetition += 1) {
        for (const { database, driver, apiPid, relayPid } of systems) {
          const before = [cpuNs(apiPid), cpuNs(relayPid)] as const;
          const { messages, wallMs, latenciesMs } = await driver.ask('post', { ...input, ms: options.ms });
          const spread = spreadOf(latenciesMs);
          const sample: RouteSample = {
            database,
            ...load,
            repetition,
            messagesPerSecond: (messages / wallMs) * 1_000,
            ...spread,
            apiUsPerMessage: (cpuNs(apiPid) - before[0]) / 1_000 / messages,
            relayUsPerMessage: (cpuNs(relayPid) - before[1]) / 1_000 / messages,
          };
          samples.push(sample);
          progress(
            `route, ${load.writers} writers, ${load.groups} groups, ${repetition}: ${database} ${sample.messagesPerSecond.toFixed(0)}/s, p50 ${spread.p50Ms.toFixed(1)}, p99 ${spread.p99Ms.toFixed(1)} ms; µs per message: API ${sample.apiUsPerMessage.toFixed(0)}, relay ${sample.relayUsPerMessage.toFixed(0)}`,
          );
        }
      }
    }
  } finally {
    await Promise.all(systems.map(async (system) => system.stop()));
    await postgres.stop();
  }
  return samples;
}
