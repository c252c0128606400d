import { mkdtempSync, rmSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  EXHAUSTIBLE,
  type HeldConnections,
  holdConnections,
  type PostgresServer,
  startApiProcess,
  startPostgres,
  tokenFor,
  until,
} from '@groupcast/testing';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';

const DESCRIPTORS = 256;
/** More than the connections to PostgreSQL that are open before they are needed. */
const CONNECTIONS = 8;

let postgres: PostgresServer;
let dataDir: string;
let api: Awaited<ReturnType<typeof startApiProcess>>;
let held: HeldConnections | undefined;
let agent: Agent;
beforeAll(async () => {
  postgres = await startPostgres();
});
beforeEach(() => {
  dataDir = mkdtempSync(join(tmpdir(), 'groupcast-descriptors-'));
  agent = new Agent({ keepAlive: true, maxSockets: CONNECTIONS });
});
afterEach(async () => {
  agent.destroy();
  held?.close();
  await api?.stop();
  rmSync(dataDir, { recursive: true, force: true });
});
afterAll(async () => postgres?.stop());

/** Over connections that stay open. */
async function ask(path: string, method = 'GET', body?: object): Promise<number | undefined> {
  const token = await tokenFor('alice');
  return new Promise((resolve, reject) => {
    const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
    const asked = request({ port: api.port, path, method, headers, agent, timeout: 5_000 }, (response) => {
      response.resume().on('end', () => resolve(response.statusCode));
    });
    asked.on('error', reject).on('timeout', () => asked.destroy(new Error('no answer')));
    asked.end(body && JSON.stringify(body));
  });
}
const createGroup = async (): Promise<number | undefined> =>
  ask('/api/messaging/groups', 'POST', { memberIds: ['bob'] });

describe.each(['the embedded database', 'PostgreSQL'])('an API on %s', (database) => {
  async function start(): Promise<void> {
    const env = database === 'PostgreSQL' ? { DATABASE_URL: postgres.url } : { DATA_DIR: dataDir };
    // Nobody listens on port 9: it looks for a relay all the time.
    const options = { ...env, ...EXHAUSTIBLE, RELAY_URL: 'http://127.0.0.1:9' };
    api = await startApiProcess(options, { descriptors: DESCRIPTORS });
  }

  test('serves others when there are more connections than descriptors (G37)', { timeout: 60_000 }, async () => {
    await start();
    expect(await createGroup()).toBe(201);
    held = await holdConnections(api.port, 4 * DESCRIPTORS);
    await until('some to be closed', () => (held?.open() ?? 0) < 4 * DESCRIPTORS);
    const answered = await until('a new connection to be answered', async () => fetch(`${api.url}/readyz`));
    expect(answered.status).toBe(200);
    expect(await until('a group', createGroup)).toBe(201);
    const metrics = await until('metrics', async () => (await fetch(`${api.internalUrl}/metrics`)).text());
    expect(metrics).toMatch(/groupcast_api_tcp_connections_closed_total\{port="public",reason="made-room"\} [1-9]/);
    expect(api.output()).toContain('TOO_MANY_CONNECTIONS');
    await until('the silent ones to be closed', () => held?.open() === 0, 20_000);
    expect(api.child.exitCode).toBe(null);
  });

  test('goes on without a descriptor left', async () => {
    await start();
    expect(await createGroup()).toBe(201);
    const atOnce = async (what: () => Promise<number | undefined>): Promise<Set<number | undefined>> =>
      new Set(await Promise.all(Array.from({ length: CONNECTIONS }, what)));
    expect(await atOnce(async () => ask('/livez'))).toEqual(new Set([200]));
    api.signal('SIGWINCH');
    await api.wrote('EMFILE: exhausted');
    held = await holdConnections(api.port, 50);
    await api.wrote('outlived');
    // The database is reached over the connections there are, or not at all.
    for (const status of await atOnce(createGroup)) expect([201, 503]).toContain(status);
    expect(await ask('/livez')).toBe(200);
    api.signal('SIGWINCH');
    await api.wrote('released');
    held.close();
    expect(await until('a group', createGroup)).toBe(201);
    expect((await fetch(`${api.url}/readyz`)).status).toBe(200);
  });
});
