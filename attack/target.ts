// The services under attack: processes of their own, with a small heap, whose garbage can be collected from outside.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  freePort,
  type ManagedProcess,
  startApiProcess,
  startRelayProcess,
  TEST_SECRETS,
  until,
} from '@groupcast/testing';
import { WebSocket } from 'ws';
import { pidOf, rssBytes } from '../bench/processes.ts';
import { MALLOC_TUNABLES } from '../scripts/processes.mjs';

const HEAP_MB = 256;
const MB = 1_048_576;
const LOOK_MS = 50;

export interface Watched {
  name: 'relay' | 'api';
  process: ManagedProcess;
  /** Resident memory now, in MB. */
  rssMb(): number;
  /** Highest since the last call, in MB. */
  highestMb(): number;
  collectGarbage(): Promise<void>;
  isAlive(): boolean;
}

export interface Target {
  relayUrl: string;
  internalUrl: string;
  apiUrl: string;
  /** The attacked services. */
  victim: Watched;
  services: Watched[];
  stop(): Promise<void>;
}

/** Asks a process's inspector for a full collection. */
async function collectGarbage(managed: ManagedProcess): Promise<void> {
  const address = /Debugger listening on (ws:\S+)/.exec(managed.output())?.[1];
  if (!address) throw new Error('the process has no inspector');
  const inspector = new WebSocket(address);
  await new Promise((resolve, reject) => inspector.once('open', resolve).once('error', reject));
  for (const id of [1, 2]) {
    inspector.send(JSON.stringify({ id, method: 'HeapProfiler.collectGarbage' }));
    await new Promise((resolve) => inspector.once('message', resolve));
  }
  inspector.close();
}

function watch(name: Watched['name'], managed: ManagedProcess): Watched & { stopWatching(): void } {
  const pid = pidOf(managed.child);
  const isAlive = (): boolean => managed.child.exitCode === null && managed.child.signalCode === null;
  const rssMb = (): number => (isAlive() ? rssBytes(pid) / MB : Number.NaN);
  let highest = 0;
  const timer = setInterval(() => {
    const now = rssMb();
    if (now > highest) highest = now;
  }, LOOK_MS);
  return {
    name,
    process: managed,
    rssMb,
    highestMb() {
      const value = highest;
      highest = 0;
      return value;
    },
    collectGarbage: async () => collectGarbage(managed),
    isAlive,
    stopWatching: () => clearInterval(timer),
  };
}

/** A relay, and an API with an embedded database where that is attacked, each with a heap of 256 MB. */
export async function startTarget(victim: 'relay' | 'api'): Promise<Target> {
  const dataDir = mkdtempSync(join(tmpdir(), 'groupcast-attack-'));
  const node = {
    NODE_OPTIONS: `--max-old-space-size=${HEAP_MB} --inspect=127.0.0.1:0`,
    SHUTDOWN_DRAIN_SECONDS: '0',
    // As `npm start`, the image and the systemd units run them.
    GLIBC_TUNABLES: MALLOC_TUNABLES,
    DATA_DIR: dataDir,
  };
  const withApi = victim === 'api';
  const api = withApi ? await startApi(node) : undefined;
  const relay = await startRelayProcess({
    ...node,
    ...(api ? { API_URL: api.url, RELAY_PORT: String(api.relayPort) } : {}),
  });
  if (api) await until('the API to reach the relay', () => api.process.output().includes('connected to the relay'));
  const services = [watch('relay', relay), ...(api ? [watch('api', api.process)] : [])];
  const attacked = services.find(({ name }) => name === victim);
  if (!attacked) throw new Error(`there is no ${victim}`);
  return {
    relayUrl: relay.url,
    internalUrl: relay.internalUrl,
    apiUrl: api?.url ?? '',
    victim: attacked,
    services,
    async stop() {
      for (const service of services) service.stopWatching();
      await Promise.all(services.map(async (service) => service.process.stop()));
      rmSync(dataDir, { recursive: true, force: true });
    },
  };
}

async function startApi(env: Readonly<Record<string, string>>) {
  const relayPort = await freePort();
  const relayUrl = `http://127.0.0.1:${relayPort}`;
  const api = await startApiProcess({ ...TEST_SECRETS, ...env, RELAY_URL: relayUrl });
  return { process: api, url: api.url, relayPort };
}
