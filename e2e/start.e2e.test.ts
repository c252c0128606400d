import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { Agent, get } from 'node:http';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort, type ManagedProcess, startNode, TEST_SECRETS, until } from '@groupcast/testing';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';

const RELAY = 'services/socket-relay/dist/main.js';
const API = 'services/api/dist/main.js';

let dataDir: string;
let processes: ManagedProcess[];
beforeEach(() => {
  dataDir = mkdtempSync(join(tmpdir(), 'groupcast-start-'));
  processes = [];
});
afterEach(async () => {
  for (const process of processes) await process.stop();
  rmSync(dataDir, { recursive: true, force: true });
});

function run(file: string, env: Record<string, string> = {}): ManagedProcess {
  const process = startNode([file], { DATA_DIR: dataDir, ...env });
  processes.push(process);
  return process;
}

async function ports(): Promise<Record<string, string>> {
  const names = ['API_PORT', 'API_INTERNAL_PORT', 'RELAY_PORT', 'RELAY_INTERNAL_PORT'];
  return Object.fromEntries(await Promise.all(names.map(async (name) => [name, String(await freePort())] as const)));
}

describe('a wrong configuration', () => {
  test('names every bad variable in one message, without the secrets, and exits 78 (G14)', async () => {
    const relay = run(RELAY, {
      RELAY_PORT: '30OO',
      HISTORY_SIZE: '0',
      API_URL: 'localhost',
      SOCKET_CORS_ORIGIN: 'app.example.com',
      LOG_LEVEL: 'loud',
      JWT_SECRET: 'one-secret-for-everything',
      RELAY_SERVICE_SECRET: 'one-secret-for-everything',
      JWT_AUDIENCE: 'groupcast-relay',
    });
    expect(await relay.exited()).toBe(78);
    expect(relay.output().trim().split('\n')).toHaveLength(1);
    expect(relay.output()).toMatch(/^invalid configuration: /);
    const named = [
      'RELAY_PORT must be an integer from 0 to 65535, got "30OO"',
      'HISTORY_SIZE',
      'API_URL',
      'SOCKET_CORS_ORIGIN',
    ];
    for (const name of [...named, 'LOG_LEVEL', 'RELAY_SERVICE_SECRET must differ from JWT_SECRET', 'JWT_AUDIENCE']) {
      expect(relay.output()).toContain(name);
    }
    expect(relay.output()).not.toContain('one-secret-for-everything');
  });

  test('in production, missing, short and well-known secrets refuse to start; so does the demo', async () => {
    const env = {
      NODE_ENV: 'production',
      JWT_SECRET: 'short',
      CONNECTION_TOKEN_SECRET: 'please-change-me-please-change-me-1',
      DEMO: '1',
    };
    const api = run(API, { ...env, API_PORT: 'x', DATABASE_URL: 'mysql://root:hunter2@localhost/db' });
    expect(await api.exited()).toBe(78);
    for (const name of [
      'JWT_SECRET',
      'CONNECTION_TOKEN_SECRET',
      'RELAY_SERVICE_SECRET is missing',
      'DEMO',
      'API_PORT',
      'DATABASE_URL',
    ]) {
      expect(api.output()).toContain(name);
    }
    expect(api.output()).not.toContain('hunter2');
  });

  test.each([
    [
      'the API',
      API,
      ['DATABASE_URL must be set, or EMBEDDED_DATABASE=1', 'RELAY_URL must be set', 'RELAY_PUBLIC_URL must be set'],
    ],
    ['the relay', RELAY, ['API_URL must be set with NODE_ENV=production, or be empty where there is no API']],
    // Whichever of the two is first ends the other, perhaps before that could name its missing variables.
    ['npm start', 'scripts/start.mjs', ['must be set']],
  ])('in production, %s starts on nothing that is sane only in development', async (_name, file, problems) => {
    const service = run(file, { NODE_ENV: 'production', ...TEST_SECRETS, ...(await ports()) });
    expect(await service.exited()).toBe(78);
    for (const problem of problems) expect(service.output()).toContain(problem);
    expect(service.output()).not.toContain('listening');
  });
});

describe('a service', () => {
  test.each([
    ['relay', RELAY],
    ['API', API],
  ])('the %s logs where it listens, and exits 0 on SIGTERM', async (_name, file) => {
    const service = run(file, { ...TEST_SECRETS, ...(await ports()) });
    await service.wrote('"msg":"listening"');
    service.signal('SIGTERM');
    expect(await service.exited()).toBe(0);
    expect(service.output()).toContain('"msg":"stopped"');
  });

  test('warns at start that the demo’s login is open to the network', async () => {
    const env = await ports();
    const api = run(API, { ...TEST_SECRETS, ...env, DEMO: '1', API_HOST: '0.0.0.0' });
    await api.wrote('"msg":"listening"');
    expect(api.output()).toContain(
      '"msg":"DEMO is 1 and API_HOST is 0.0.0.0: anybody who reaches this port logs in as anybody',
    );
    expect(api.output()).toContain(`"url":"http://localhost:${env['API_PORT']}"`);
  });

  test.each([
    ['relay', RELAY, 'RELAY_INTERNAL_PORT'],
    ['API', API, 'API_PORT'],
  ])('the %s goes on when its log reader died, and exits 0 at once', async (_name, file, port) => {
    const env = await ports();
    const service = run(file, { ...TEST_SECRETS, ...env });
    await service.wrote('"msg":"listening"');
    service.child.stdout?.destroy();
    const { status } = await fetch(`http://127.0.0.1:${env[port]}/livez`);
    expect(status).toBe(200);
    service.signal('SIGTERM');
    expect(await service.exited()).toBe(0);
  });

  test('the API stops at once although a browser keeps its connection open', async () => {
    const env = await ports();
    const api = run(API, { ...TEST_SECRETS, ...env, RELAY_URL: 'http://127.0.0.1:1' });
    await api.wrote('"msg":"listening"');
    const agent = new Agent({ keepAlive: true });
    const ask = async (): Promise<number | undefined> =>
      new Promise((resolve, reject) => {
        get({ port: env['API_PORT'], path: '/livez', agent }, (response) => {
          response.resume().on('end', () => resolve(response.statusCode));
        }).on('error', reject);
      });
    expect(await ask()).toBe(200);
    // Another request is under way when the signal comes, so the connection becomes idle only afterwards.
    const last = ask().catch(() => undefined);
    // And one that never asked for anything, as browsers open them in advance.
    const silent = connect(Number(env['API_PORT']), '127.0.0.1').on('error', () => undefined);
    await new Promise((resolve) => silent.once('connect', resolve));
    api.signal('SIGTERM');
    expect(await api.exited()).toBe(0);
    await last;
    agent.destroy();
  });

  test.each([
    ['relay', RELAY, 'RELAY_PORT'],
    ['relay', RELAY, 'RELAY_INTERNAL_PORT'],
    ['API', API, 'API_PORT'],
    ['API', API, 'API_INTERNAL_PORT'],
  ])('the %s (%s) whose %s is taken says so in one line and exits 1', async (_name, file, variable) => {
    const server = createServer();
    const taken = await new Promise<number>((resolve) => {
      server.listen(0, () => resolve((server.address() as { port: number }).port));
    });
    try {
      const service = run(file, { ...TEST_SECRETS, ...(await ports()), [variable]: String(taken), LOG_LEVEL: 'error' });
      expect(await service.exited()).toBe(1);
      expect(service.output().trim()).toMatch(new RegExp(`^\\S+: unable to listen; port ${taken} is already in use$`));
    } finally {
      server.close();
    }
  });

  test('two that start together agree on one generated secret, readable by their owner only', async () => {
    const relay = run(RELAY, { ...(await ports()), API_URL: '' });
    const env = await ports();
    const api = run(API, { ...env, RELAY_URL: 'http://127.0.0.1:1' });
    await Promise.all([relay.wrote('"msg":"listening"'), api.wrote('"msg":"listening"')]);
    const file = join(dataDir, 'secrets.json');
    expect(Object.keys(JSON.parse(readFileSync(file, 'utf8')) as object).toSorted()).toEqual([
      'jwtSecret',
      'relayServiceSecret',
    ]);
    expect((statSync(file).mode & 0o777).toString(8)).toBe('600');
  });
});

describe('npm start', () => {
  test('runs both on embedded defaults, prints the demo’s URL, and stops both in good order', async () => {
    const env = await ports();
    const all = run('scripts/start.mjs', env);
    const url = `http://localhost:${env['API_PORT']}`;
    await all.wrote(`Groupcast is ready: open ${url} in two browser windows`);
    const handshake = await fetch(`${url}/socket.io/?EIO=4&transport=polling`);
    expect([handshake.status, await handshake.text()]).toEqual([200, expect.stringContaining('"sid"')]);
    const page = await fetch(url);
    expect([page.status, page.headers.get('content-type')]).toEqual([200, 'text/html; charset=utf-8']);
    await until('the relay to know the API', () => all.output().includes('connected to the relay'));
    expect(all.output()).not.toContain('API_URL is not set');
    const metrics = await fetch(`http://127.0.0.1:${env['API_INTERNAL_PORT']}/metrics`);
    expect([metrics.status, (await fetch(`${url}/metrics`)).status]).toEqual([200, 404]);
    const doctor = run('scripts/doctor.js', env);
    expect([await doctor.exited(), doctor.output()]).toEqual([0, expect.stringContaining('all is well')]);
    all.signal('SIGINT');
    expect(await all.exited()).toBe(0);
    expect(all.output().match(/"msg":"stopped"/g)).toHaveLength(2);
  });

  test('leaves neither running when it is killed', async () => {
    const env = await ports();
    const all = run('scripts/start.mjs', env);
    await all.wrote('Groupcast is ready');
    const pids = new Set(Array.from(all.output().matchAll(/"pid":(\d+)/g), ([, pid]) => Number(pid)));
    const isRunning = (pid: number): boolean => {
      try {
        return process.kill(pid, 0);
      } catch {
        return false;
      }
    };
    try {
      expect(pids.size).toBe(2);
      all.signal('SIGKILL');
      await until('both to end', () => ![...pids].some(isRunning));
      expect(all.output().match(/"msg":"stopped"/g)).toHaveLength(2);
    } finally {
      for (const pid of pids) if (isRunning(pid)) process.kill(pid, 'SIGKILL');
    }
  });

  test('gives the port that a host names to the API, and the relay keeps its own', async () => {
    const { API_PORT = '', ...env } = await ports();
    const all = run('scripts/start.mjs', { ...env, PORT: API_PORT });
    await all.wrote(`Groupcast is ready: open http://localhost:${API_PORT} in two browser windows`);
    expect((await fetch(`http://localhost:${env['RELAY_PORT']}/livez`)).status).toBe(200);
    expect((await fetch(`http://localhost:${API_PORT}/socket.io/?EIO=4&transport=polling`)).status).toBe(200);
    all.signal('SIGINT');
    expect(await all.exited()).toBe(0);
  });

  test('ends with an error, and leaves nothing running, when a port is taken', async () => {
    const env = await ports();
    const first = run(RELAY, { ...env, ...TEST_SECRETS });
    await first.wrote('"msg":"listening"');
    const all = run('scripts/start.mjs', { ...env, LOG_LEVEL: 'error' });
    expect(await all.exited()).toBe(1);
    expect(all.output()).not.toContain('is ready');
    expect(all.output()).toContain(`socket-relay: unable to listen; port ${env['RELAY_PORT']} is already in use`);
    await expect(fetch(`http://localhost:${env['API_PORT']}/livez`)).rejects.toThrow('fetch failed');
  });
});
