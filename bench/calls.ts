import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { createBroadcaster } from '@groupcast/broadcaster';
import {
  freePort,
  type RedisServer,
  startApiProcess,
  startPostgres,
  startRedis,
  startRelayProcess,
  TEST_SECRETS,
  tokenFor,
} from '@groupcast/testing';
import { io } from 'socket.io-client';
import { cpuNs, pidOf } from './processes.ts';
import { median } from './statistics.ts';

const GROUPS = Array.from({ length: 50 }, (_, n) => `group-${n}`);
const ROUNDS = 100;
const PUBLISHES = 20_000;
const IN_FLIGHT = 20;
const ROWS = 20_000;
const WRITERS = 16;
const REPETITIONS = 5;
const LOOK_MS = 50;
const CONTENT = 'x'.repeat(100);
const SHARED = { NODE_ENV: 'production', SOCKET_CORS_ORIGIN: '*', ...TEST_SECRETS };

/** CPU time that a process has used so far, in µs. */
type ReadCpu = () => number;

/** CPU time of each process while `work` is done, in µs. */
async function cost(processes: readonly ReadCpu[], work: () => Promise<void>): Promise<number[]> {
  const before = processes.map((read) => read());
  await work();
  return processes.map((read, n) => read() - (before[n] ?? 0));
}

function ofRedis(redis: RedisServer): ReadCpu {
  return () => {
    const said = redis.ask('info', 'cpu').matchAll(/^used_cpu_(?:sys|user):(\S+)/gm);
    return [...said].reduce((sum, [, seconds]) => sum + Number(seconds) * 1_000_000, 0);
  };
}

/** One client leaves and joins fifty groups again and again, all at once. */
async function joinAll(url: string): Promise<{ round: () => Promise<void>; close: () => void }> {
  const auth = { token: await tokenFor('alice', GROUPS) };
  const socket = io(url, { transports: ['websocket'], forceNew: true, auth });
  await new Promise((resolve) => socket.once('joined-groups', resolve));
  const each = async (event: string): Promise<void> => {
    const answers = await Promise.all(
      GROUPS.map(async (groupId) => socket.emitWithAck(event, { groupId }) as Promise<{ ok: boolean }>),
    );
    if (answers.some(({ ok }) => !ok)) throw new Error(`${event} was refused`);
  };
  return {
    async round() {
      await each('leave-group');
      await each('join-group');
    },
    close: () => void socket.close(),
  };
}

async function publishAll(url: string): Promise<void> {
  const broadcaster = createBroadcaster({ url, serviceSecret: TEST_SECRETS.RELAY_SERVICE_SECRET });
  const publisher = async (first: number): Promise<void> => {
    for (let n = first; n < PUBLISHES; n += IN_FLIGHT) {
      await broadcaster.broadcastMessage({ groupId: `quiet-${n % 50}`, message: { content: CONTENT } });
    }
  };
  await Promise.all(Array.from({ length: IN_FLIGHT }, async (_, n) => publisher(n)));
  await broadcaster.close();
}

/** A join, a leave and a publish to nobody, of a relay alone or with Redis. */
async function measureRelay(redis?: RedisServer): Promise<string> {
  const relay = await startRelayProcess({
    ...SHARED,
    CLIENT_EVENTS_PER_SECOND: '100000',
    ...(redis ? { REDIS_URL: redis.url } : {}),
  });
  const pid = pidOf(relay.child);
  const processes: ReadCpu[] = [() => cpuNs(pid) / 1_000, ...(redis ? [ofRedis(redis)] : [])];
  const client = await joinAll(relay.url);
  const joins: number[][] = [];
  const publishes: number[][] = [];
  for (let repetition = 0; repetition <= REPETITIONS; repetition += 1) {
    joins.push(
      await cost(processes, async () => {
        for (let round = 0; round < ROUNDS; round += 1) await client.round();
      }),
    );
    publishes.push(await cost(processes, async () => publishAll(relay.url)));
  }
  client.close();
  await relay.stop();
  // The first round of each was a warm-up.
  const of = (samples: number[][], count: number): string =>
    processes.map((_, n) => (median(samples.slice(1).map((sample) => sample[n] ?? 0)) / count).toFixed(1)).join(' + ');
  return `| ${redis ? 'with Redis: relay + Redis' : 'in memory'} | ${of(joins, ROUNDS * GROUPS.length)} | ${of(publishes, PUBLISHES)} |`;
}

async function metric(internalUrl: string, name: string): Promise<number> {
  const text = await (await fetch(`${internalUrl}/metrics`)).text();
  return Number(new RegExp(`^${name}(?:\\{[^}]*\\})? (\\S+)$`, 'm').exec(text)?.[1] ?? 0);
}

/** Messages that were saved while no relay was there, and then one is. */
async function measureOutbox(databaseUrl: string | undefined): Promise<string> {
  const dataDir = mkdtempSync(join(tmpdir(), 'groupcast-bench-'));
  const relayPort = await freePort();
  const apiPort = await freePort();
  const apiUrl = `http://127.0.0.1:${apiPort}`;
  const api = await startApiProcess({
    ...SHARED,
    API_PORT: String(apiPort),
    RELAY_URL: `http://127.0.0.1:${relayPort}`,
    RELAY_PUBLIC_URL: `http://127.0.0.1:${relayPort}`,
    API_RATE_LIMIT_PER_MINUTE: '10000000',
    API_CONCURRENCY_PER_USER: '10000',
    ...(databaseUrl === undefined ? { DATA_DIR: dataDir, EMBEDDED_DATABASE: '1' } : { DATABASE_URL: databaseUrl }),
  });
  const headers = { authorization: `Bearer ${await tokenFor('alice')}`, 'content-type': 'application/json' };
  const post = async (path: string, body: object): Promise<{ group?: { id: string } }> => {
    const response = await fetch(`${apiUrl}/api/messaging/${path}`, {
      method: 'POST',
      headers,
      body: JSON.stringify(body),
    });
    if (!response.ok) throw new Error(`the API answered ${response.status}`);
    return (await response.json()) as { group?: { id: string } };
  };
  const groups = await Promise.all(
    Array.from({ length: 10 }, async (_, n) => (await post('groups', { name: `group ${n}`, memberIds: [] })).group?.id),
  );
  const writer = async (first: number): Promise<void> => {
    for (let n = first; n < ROWS; n += WRITERS) await post(`groups/${groups[n % 10]}/messages`, { content: CONTENT });
  };
  await Promise.all(Array.from({ length: WRITERS }, async (_, n) => writer(n)));

  const relay = await startRelayProcess({ ...SHARED, RELAY_PORT: String(relayPort) });
  const dispatched = 'groupcast_api_events_dispatched_total';
  while ((await metric(api.internalUrl, dispatched)) === 0) await pause(LOOK_MS);
  const startedAt = performance.now();
  const before = { cpu: cpuNs(pidOf(api.child)), rows: await metric(api.internalUrl, dispatched) };
  while ((await metric(api.internalUrl, 'groupcast_api_outbox_backlog_events')) > 0) await pause(LOOK_MS);
  const seconds = (performance.now() - startedAt) / 1_000;
  const rows = (await metric(api.internalUrl, dispatched)) - before.rows;
  const apiUs = (cpuNs(pidOf(api.child)) - before.cpu) / 1_000;
  await Promise.all([api.stop(), relay.stop()]);
  rmSync(dataDir, { recursive: true, force: true });
  return `| ${databaseUrl === undefined ? 'embedded' : 'PostgreSQL'} | ${rows} | ${(rows / seconds).toFixed(0)} | ${(apiUs / rows).toFixed(0)} |`;
}

/** Cost of the single steps that come before and beside the fan-out. */
export async function calls(): Promise<void> {
  console.log(
    `CPU µs of a leave and a join of one of ${GROUPS.length} groups, and of a publish to a group without members:\n`,
  );
  console.log('| | leave + join | publish |\n|---|---|---|');
  console.log(await measureRelay());
  const redis = await startRedis();
  console.log(await measureRelay(redis));
  await redis.stop();

  console.log(`\nAn outbox with ${ROWS} messages of 10 groups, once the relay is back:\n`);
  console.log('| | events, once the first was out | events/s | API, CPU µs per event |\n|---|---|---|---|');
  console.log(await measureOutbox(undefined));
  const postgres = await startPostgres();
  console.log(await measureOutbox(await postgres.createDatabase()));
  await postgres.stop();
}
