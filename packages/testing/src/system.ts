import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { freePort } from './ports.ts';
import { type ManagedProcess, type ProcessLimits, startNode } from './processes.ts';
import { until } from './until.ts';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));

/** Secrets long enough for production, and known to every test. */
export const TEST_SECRETS = {
  JWT_SECRET: 'user-tokens-of-the-tests-0123456789abcdef',
  RELAY_SERVICE_SECRET: 'service-tokens-of-the-tests-0123456789',
} as const;

export interface ServiceProcess extends ManagedProcess {
  url: string;
  port: number;
}

type Variables = Readonly<Record<string, string>>;

async function startService(
  service: string,
  port: number,
  env: Variables,
  limits?: ProcessLimits,
): Promise<ServiceProcess> {
  // These secrets are public: no other machine may reach the process, with NODE_ENV=production neither.
  const defaults = { ...TEST_SECRETS, API_HOST: 'localhost', RELAY_HOST: 'localhost' };
  const child = startNode([join(ROOT, 'services', service, 'dist/main.js')], { ...defaults, ...env }, limits);
  await child.wrote('"listening"').catch(async (error: unknown) => {
    await child.stop();
    throw error;
  });
  return Object.assign(child, { url: `http://127.0.0.1:${port}`, port });
}

/** The built relay as a process of its own; resolves when it listens. */
export async function startRelayProcess(
  env: Variables = {},
  limits?: ProcessLimits,
): Promise<ServiceProcess & { internalUrl: string }> {
  const port = Number(env['RELAY_PORT'] ?? (await freePort()));
  const internalPort = Number(env['RELAY_INTERNAL_PORT'] ?? (await freePort()));
  const ports = { RELAY_PORT: String(port), RELAY_INTERNAL_PORT: String(internalPort) };
  const relay = await startService('socket-relay', port, { API_URL: '', ...env, ...ports }, limits);
  return Object.assign(relay, { internalUrl: `http://127.0.0.1:${internalPort}` });
}

/** The built API as a process of its own; resolves when it listens. Give it `DATA_DIR` or `DATABASE_URL`. */
export async function startApiProcess(
  env: Variables,
  limits?: ProcessLimits,
): Promise<ServiceProcess & { internalUrl: string }> {
  const port = Number(env['API_PORT'] ?? (await freePort()));
  const internalPort = Number(env['API_INTERNAL_PORT'] ?? (await freePort()));
  const ports = { API_PORT: String(port), API_INTERNAL_PORT: String(internalPort) };
  const api = await startService('api', port, { ...env, ...ports }, limits);
  return Object.assign(api, { internalUrl: `http://127.0.0.1:${internalPort}` });
}

export interface System {
  apiUrl: string;
  apiInternalUrl: string;
  relayUrl: string;
  relayInternalUrl: string;
  /** The processes that `stop()` ends; a test that starts another in their place puts it here. */
  api: ServiceProcess;
  relay: ServiceProcess;
  /** The environment in which a command finds this system and agrees with it on its secrets. */
  env: Record<string, string>;
  stop(): Promise<void>;
}

/** API and relay as processes, in demo mode, on embedded defaults, in a folder of their own. */
export async function startSystem(overrides: Variables = {}): Promise<System> {
  const dataDir = mkdtempSync(join(tmpdir(), 'groupcast-'));
  const [apiPort, apiInternalPort] = [await freePort(), await freePort()];
  const [relayPort, internalPort] = [await freePort(), await freePort()];
  const env = {
    ...TEST_SECRETS,
    DEMO: '1',
    DATA_DIR: dataDir,
    API_PORT: String(apiPort),
    API_INTERNAL_PORT: String(apiInternalPort),
    RELAY_PORT: String(relayPort),
    RELAY_INTERNAL_PORT: String(internalPort),
    API_URL: `http://127.0.0.1:${apiPort}`,
    API_INTERNAL_URL: `http://127.0.0.1:${apiInternalPort}`,
    RELAY_URL: `http://127.0.0.1:${relayPort}`,
    RELAY_INTERNAL_URL: `http://127.0.0.1:${internalPort}`,
    ...overrides,
  };
  const starting = [startRelayProcess(env), startApiProcess(env)] as const;
  const [relay, api] = await Promise.all(starting).catch(async (error: unknown) => {
    for (const process of await Promise.allSettled(starting)) if ('value' in process) await process.value.stop();
    throw error;
  });
  await until('the API to reach the relay', () => api.output().includes('connected to the relay'));
  const system: System = {
    apiUrl: env.API_URL,
    apiInternalUrl: env.API_INTERNAL_URL,
    relayUrl: env.RELAY_URL,
    relayInternalUrl: env.RELAY_INTERNAL_URL,
    api,
    relay,
    env,
    async stop() {
      await Promise.all([system.api.stop(), system.relay.stop()]);
      rmSync(dataDir, { recursive: true, force: true });
    },
  };
  return system;
}
