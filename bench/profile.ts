import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startPostgres, until } from '@groupcast/testing';
import { cpuNs } from './processes.ts';
import { CONTENT, type RouteSystem, startSystem } from './route.ts';

const WRITERS = [1, 32];
const WARM_UP_MS = 3_000;
const PROFILED_MS = 6_000;
const PROFILER = new URL('servers/profiler.mjs', import.meta.url).href;

type Rows = readonly (readonly [name: string, modules: RegExp])[];

const API_ROWS: Rows = [
  ['HTTP (Node, Fastify, its headers)', /node:_http|\/@?fastify|\/find-my-way\/|\/helmet\/|\/api\/dist\/http\//],
  ['the token', /\/tokens\/dist\/|\/jose\/|node:internal\/crypto/],
  ['validation and rules', /\/zod\/|\/shared\/dist\/|\/api\/dist\/(?:groups|messages|users|cursors)\//],
  ['SQL, the driver; embedded: the database too', /\/pglite\/|wasm:|\/node_modules\/pg|\/api\/dist\/db\//],
  ['broadcaster', /\/broadcaster\/dist\/|\/(?:socket|engine)\.io-|\/ws\/|\/outbox\/relay-client/],
  ['dispatcher, without its SQL', /\/api\/dist\/outbox\//],
];
const RELAY_ROWS: Rows = [
  ['fan-out to 100 members', /\/socket-relay\/dist\/fan-out\//],
  ['group log', /\/socket-relay\/dist\/group-log\//],
  ['validation and gateway', /\/zod\/|\/shared\/dist\/|\/socket-relay\/dist\/(?:broadcast|monitor)\//],
  [
    'WebSocket and Socket.IO in, acknowledgement out',
    /\/(?:socket|engine)\.io|\/ws\/|\/dist\/(?:engine|connections)\//,
  ],
];
const REST = 'event loop, garbage, the rest';

interface Profile {
  nodes: { id: number; callFrame: { functionName: string; url: string }; children?: number[] }[];
  samples: number[];
  timeDeltas: number[];
}

/** Microseconds by row. A sample belongs to the innermost module on its stack that a row names, so that a system call counts for the module that made it. */
function attribute({ nodes, samples, timeDeltas }: Profile, rows: Rows): Map<string, number> {
  const rowOf = new Map<number, string | undefined>();
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const visit = (id: number, outer: string | undefined): void => {
    const node = byId.get(id);
    if (!node) return;
    const { functionName, url } = node.callFrame;
    const own = rows.find(([, modules]) => modules.test(url))?.[0];
    const row = functionName === '(idle)' ? undefined : (own ?? outer);
    rowOf.set(id, row);
    for (const child of node.children ?? []) visit(child, row);
  };
  const [root] = nodes;
  if (root) visit(root.id, REST);
  const sums = new Map<string, number>([...rows, [REST] as const].map(([name]) => [name, 0]));
  samples.forEach((id, index) => {
    const row = rowOf.get(id);
    if (row !== undefined) sums.set(row, (sums.get(row) ?? 0) + (timeDeltas[index] ?? 0));
  });
  return sums;
}

/** CPU time of a process and its children, by the scheduler: PostgreSQL has one per connection. */
function familyNs(pid: number): number {
  const parentOf = (child: string): number => {
    const stat = existsSync(`/proc/${child}/stat`) ? readFileSync(`/proc/${child}/stat`, 'utf8') : '';
    return Number(stat.replace(/^.*\) /, '').split(' ')[1]);
  };
  const children = readdirSync('/proc').filter((name) => /^\d+$/.test(name) && parentOf(name) === pid);
  return [pid, ...children.map(Number)].reduce((sum, each) => sum + cpuNs(each), 0);
}

/** µs per message by row, of one load on one database. */
async function measure(
  system: RouteSystem,
  files: { api: string; relay: string },
  writers: number,
  databasePid: number,
) {
  const { driver, apiPid, relayPid } = system;
  const load = { writers, groups: 1, content: CONTENT };
  await driver.ask('post', { ...load, ms: WARM_UP_MS });
  const toggle = (): void => [apiPid, relayPid].forEach((pid) => process.kill(pid, 'SIGWINCH'));
  toggle();
  const before = familyNs(databasePid);
  const { messages } = await driver.ask('post', { ...load, ms: PROFILED_MS });
  const databaseUs = (familyNs(databasePid) - before) / 1_000;
  toggle();
  const read = async (file: string): Promise<Profile> => {
    await until('the profile', () => existsSync(file));
    const taken = JSON.parse(readFileSync(file, 'utf8')) as Profile;
    rmSync(file);
    return taken;
  };
  const rows = new Map<string, number>();
  for (const [name, us] of attribute(await read(files.api), API_ROWS)) rows.set(`API: ${name}`, us / messages);
  if (system.database === 'PostgreSQL') rows.set('PostgreSQL’s own processes', databaseUs / messages);
  for (const [name, us] of attribute(await read(files.relay), RELAY_ROWS)) rows.set(`relay: ${name}`, us / messages);
  return rows;
}

/** Where the time of a message goes, from its `POST` to 100 members of one group. */
export async function profile(): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'groupcast-profile-'));
  const files = { api: join(folder, 'api'), relay: join(folder, 'relay') };
  const postgres = await startPostgres();
  const columns: { title: string; rows: Map<string, number> }[] = [];
  try {
    for (const url of [undefined, await postgres.createDatabase()]) {
      const node = (file: string) => ({ NODE_OPTIONS: `--import=${PROFILER}`, PROFILE_FILE: file });
      const system = await startSystem(url, 1, { api: node(files.api), relay: node(files.relay) });
      try {
        for (const writers of WRITERS) {
          const title = `${writers === 1 ? '1 writer' : `${writers} writers`}, ${system.database}`;
          columns.push({ title, rows: await measure(system, files, writers, postgres.pid) });
        }
      } finally {
        await system.stop();
      }
    }
  } finally {
    await postgres.stop();
    rmSync(folder, { recursive: true });
  }
  const names = [...new Set(columns.toReversed().flatMap(({ rows }) => [...rows.keys()]))];
  const sums = columns.map(({ rows }) => [...rows.values()].reduce((sum, us) => sum + us, 0));
  const cell = (us: number | undefined, sum: number): string =>
    us === undefined ? '–' : `${us.toFixed(0)} (${((us / sum) * 100).toFixed(0)} %)`;
  console.log(`| µs per message, and share | ${columns.map(({ title }) => title).join(' | ')} |`);
  console.log(`|---|${columns.map(() => '---|').join('')}`);
  for (const name of names) {
    console.log(`| ${name} | ${columns.map(({ rows }, n) => cell(rows.get(name), sums[n] ?? 0)).join(' | ')} |`);
  }
  console.log(`| all | ${sums.map((sum) => sum.toFixed(0)).join(' | ')} |`);
}
