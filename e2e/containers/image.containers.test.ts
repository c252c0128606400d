import { execFileSync } from 'node:child_process';
import { chownSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { AUDIENCE } from '@groupcast/shared';
import {
  freePort,
  type ManagedProcess,
  manage,
  type PostgresServer,
  type RedisServer,
  received,
  startPostgres,
  startRedis,
  TEST_SECRETS,
  tokenFor,
  until,
} from '@groupcast/testing';
import { signServiceToken } from '@groupcast/tokens';
import { io } from 'socket.io-client';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { type Container, startContainer } from './container.ts';
import { buildImage, type Image } from './image.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
/** The variables of a production of one machine, on loopback: the secrets are public. */
const BOTH = {
  ...TEST_SECRETS,
  SOCKET_CORS_ORIGIN: 'https://app.test',
  SHUTDOWN_DRAIN_SECONDS: '1',
  API_HOST: '127.0.0.1',
  RELAY_HOST: '127.0.0.1',
};

let image: Image;
let postgres: PostgresServer;
let redis: RedisServer;
const running: ManagedProcess[] = [];

beforeAll(async () => {
  if (process.env['OWN_MOUNTS'] !== '1')
    throw new Error('it mounts file systems, and needs a mount namespace of its own: npm run test:containers');
  image = buildImage(join(ROOT, 'deploy/Dockerfile'), ROOT);
  [postgres, redis] = await Promise.all([startPostgres(), startRedis()]);
  const size = (path: string): string =>
    execFileSync('du', ['-sm', join(image.root, path)], { encoding: 'utf8' }).split('\t')[0] ?? '';
  const os = /PRETTY_NAME="(.*)"/.exec(readFileSync('/etc/os-release', 'utf8'))?.[1];
  console.log(`base: ${os}, Node ${process.version}, in place of the Dockerfile’s`);
  console.log(`image: /app ${size('app')} MB, of which node_modules ${size('app/node_modules')} MB`);
});
afterEach(async () => {
  for (const one of running.splice(0).toReversed()) await one.stop();
});
afterAll(async () => {
  await Promise.all([postgres?.stop(), redis?.stop()]);
  image?.remove();
});

async function start(
  name: string,
  env: Readonly<Record<string, string>>,
  volumes?: Readonly<Record<string, string>>,
): Promise<Container> {
  const container = await startContainer(image, {
    command: [name],
    env: { ...BOTH, ...env },
    ...(volumes && { volumes }),
  });
  running.push(container);
  expect(container.output()).toContain('"listening"');
  console.log(
    `${name}: listens after ${container.startSeconds.toFixed(2)} s, ${container.residentMegabytes().toFixed(0)} MB RSS`,
  );
  return container;
}

async function ports(): Promise<{
  API_PORT: string;
  API_INTERNAL_PORT: string;
  RELAY_PORT: string;
  RELAY_INTERNAL_PORT: string;
}> {
  const [api, apiInternal, relay, relayInternal] = await Promise.all([freePort(), freePort(), freePort(), freePort()]);
  return {
    API_PORT: `${api}`,
    API_INTERNAL_PORT: `${apiInternal}`,
    RELAY_PORT: `${relay}`,
    RELAY_INTERNAL_PORT: `${relayInternal}`,
  };
}

const startRelay = async (env: Record<string, string>): Promise<Container & { port: string }> => {
  const of = await ports();
  const relay = await start('relay', { ...of, API_URL: '', ...env });
  return Object.assign(relay, { port: of.RELAY_PORT });
};

/** nginx as deploy/compose.yaml runs it, but for names and ports. Debian's has no `resolve`. */
function startNginx(port: number, relays: readonly string[], api: string): ManagedProcess {
  const folder = mkdtempSync(join(tmpdir(), 'groupcast-nginx-'));
  let text = readFileSync(join(ROOT, 'deploy/compose/nginx.conf'), 'utf8');
  for (const [from, to] of [
    ['/tmp/', `${folder}/`],
    ['server relay-1:3001 max_fails=0 resolve', `server 127.0.0.1:${relays[0]} max_fails=0`],
    ['server relay-2:3001 max_fails=0 resolve', `server 127.0.0.1:${relays[1]} max_fails=0`],
    ['server api:3000 max_fails=0 resolve', `server 127.0.0.1:${api} max_fails=0`],
    ['listen 8080', `listen 127.0.0.1:${port}`],
    ['/dev/stdout', join(folder, 'access.log')],
    ['/dev/stderr', 'stderr'],
  ] as const) {
    if (!text.includes(from)) throw new Error(`deploy/compose/nginx.conf has no "${from}"`);
    text = text.replaceAll(from, to);
  }
  const file = join(folder, 'nginx.conf');
  writeFileSync(file, text);
  const nginx = manage('/usr/sbin/nginx', ['-e', 'stderr', '-c', file, '-g', 'daemon off; master_process off;'], {});
  running.push(nginx);
  return nginx;
}

describe('the image', () => {
  test('does not run as root, and has labels that name it', () => {
    expect(image.user).toEqual({ uid: 65_534, gid: 65_534 });
    expect(image.labels).toMatchObject({
      'org.opencontainers.image.version': JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'))
        .version as string,
    });
  });

  test('has nothing in it that only builds and tests need', () => {
    const folder = join(image.root, 'app/node_modules');
    const tools = ['esbuild', 'playwright-core', 'react', 'tsx', 'typescript', 'vite', 'vitest'];
    expect(tools.filter((name) => existsSync(join(folder, name)))).toEqual([]);
    expect(existsSync(join(folder, '@electric-sql/pglite'))).toBe(true);
    expect(existsSync(join(image.root, 'app/services/api/src'))).toBe(false);
  });

  test('API and two relays serve from it behind nginx: a message of the API reaches a Socket.IO client at the other relay', async () => {
    const database = await postgres.createDatabase();
    const api = await ports();
    const urls = {
      API_URL: `http://127.0.0.1:${api.API_PORT}`,
      API_INTERNAL_URL: `http://127.0.0.1:${api.API_INTERNAL_PORT}`,
    };
    const both = { ...urls, REDIS_URL: redis.url, PUBLIC_BROADCAST_API: '1' };
    const one = await startRelay(both);
    const two = await startRelay({ ...both, RELAY_WORKERS: '2' });
    const port = await freePort();
    const url = `http://127.0.0.1:${port}`;
    await start('api', {
      ...api,
      DATABASE_URL: database,
      RELAY_URL: `http://127.0.0.1:${one.port}`,
      RELAY_PUBLIC_URL: url,
      TRUST_PROXY: '1',
    });
    startNginx(port, [one.port, two.port], api.API_PORT);
    await until(
      'nginx to reach a relay',
      async () => (await fetch(`${url}/livez`).catch(() => undefined))?.ok ?? false,
    );

    const post = async (path: string, body: unknown): Promise<{ status: number; body: { group?: { id: string } } }> => {
      const headers = { authorization: `Bearer ${await tokenFor('alice')}`, 'content-type': 'application/json' };
      const response = await fetch(`${url}${path}`, { method: 'POST', headers, body: JSON.stringify(body) });
      return { status: response.status, body: (await response.json()) as { group?: { id: string } } };
    };
    const group = await post('/api/messaging/groups', { name: 'in a container', memberIds: ['bob'] });
    expect(group.status).toBe(201);
    const groupId = group.body.group?.id ?? '';
    const bob = io(`http://127.0.0.1:${two.port}`, {
      forceNew: true,
      transports: ['websocket'],
      auth: { token: await tokenFor('bob', [groupId]) },
    });
    const throughNginx = io(url, { forceNew: true, auth: { token: await tokenFor('alice', [groupId]) } });
    try {
      await Promise.all([received(bob, 'joined-groups'), received(throughNginx, 'joined-groups')]);
      const [first, second] = [received(bob, 'new-message'), received(throughNginx, 'new-message')];
      expect(
        (
          await post(`/api/messaging/groups/${groupId}/messages`, {
            content: 'hello from a read-only file system',
          })
        ).status,
      ).toBe(201);
      expect(await first).toMatchObject({ content: 'hello from a read-only file system', groupId });
      expect(await second).toMatchObject({ groupId });
      expect((await fetch(`${url}/internal/health`)).status).toBe(404);

      // A back end outside comes through nginx too.
      const token = await signServiceToken({
        secret: TEST_SECRETS.RELAY_SERVICE_SECRET,
        scopes: ['broadcast'],
        subject: 'outside',
        audience: AUDIENCE.relay,
        ttlSeconds: 60,
      });
      const third = received(bob, 'new-message');
      const broadcast = await fetch(`${url}/v1/broadcast`, {
        method: 'POST',
        headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
        body: JSON.stringify({ groupId, message: { id: 'from-outside', content: 'hello from outside' } }),
      });
      expect(broadcast.status).toBe(200);
      expect(await third).toMatchObject({ content: 'hello from outside' });
    } finally {
      bob.disconnect();
      throughNginx.disconnect();
    }
  });

  test('the container can write to /tmp and nowhere else, and nobody in it is root', async () => {
    const relay = await startRelay({});
    const tried = ['/app', '/app/services', '/usr/local/bin', '/etc', '/var/tmp', '/data', '/root', '/']
      .map((folder) => `touch ${folder}/x 2>&1`)
      .join('; ');
    const shell = relay.exec([
      'sh',
      '-c',
      `${tried}; touch /tmp/x && echo tmp; id -u; grep -E 'CapEff|CapBnd|NoNewPrivs' /proc/self/status`,
    ]);
    await shell.exited();
    expect(shell.output().match(/Read-only file system|Permission denied/g)).toHaveLength(8);
    expect(shell.output()).toMatch(/^tmp\n65534\nCapEff:\s+0+\nCapBnd:\s+0+\nNoNewPrivs:\s+1$/m);
  });

  test('its health check passes while the service answers, and fails while it is stopped', async () => {
    const relay = await startRelay({});
    const check = async (...words: string[]): Promise<[number | NodeJS.Signals, string]> => {
      const run = relay.exec([...image.healthcheck, ...words]);
      return [await run.exited(), run.output()];
    };
    expect(await check()).toEqual([0, '']);
    expect(await check('relay')).toEqual([0, '']);
    expect(await check('api')).toEqual([
      1,
      expect.stringMatching(/^unhealthy; http:\/\/127\.0\.0\.1:\d+\/livez: ECONNREFUSED/),
    ]);
    expect(await check('both')).toEqual([64, expect.stringMatching(/^unable to tell which service runs here/)]);
    relay.signalService('SIGSTOP');
    expect(await check()).toEqual([1, expect.stringMatching(/^unhealthy; /)]);
    relay.signalService('SIGCONT');
    expect(await check()).toEqual([0, '']);
  });

  test('process 1 hands SIGTERM on and reaps what is left to it; the relay drains and ends with 0', async () => {
    const relay = await startRelay({});
    const zombies = async (): Promise<string> => {
      const ps = relay.exec(['sh', '-c', 'grep -l "State:.Z" /proc/[0-9]*/status; true']);
      await ps.exited();
      return ps.output();
    };
    await relay.exec(['sh', '-c', '(true & exec true) & exit 0']).exited();
    await until('no child to be left', async () => (await zombies()) === '');
    relay.signalInit('SIGTERM');
    expect(await relay.exited()).toBe(0);
    expect(relay.output()).toContain('"stopped"');
  });

  test('the embedded database works in a volume', async () => {
    const data = mkdtempSync(join(tmpdir(), 'groupcast-volume-'));
    chownSync(data, 65_534, 65_534);
    const of = await ports();
    const url = `http://127.0.0.1:${of.RELAY_PORT}`;
    const env = { ...of, EMBEDDED_DATABASE: '1', DATA_DIR: '/data', RELAY_URL: url, RELAY_PUBLIC_URL: url };
    const api = await start('api', env, { '/data': data });
    expect((await fetch(`http://127.0.0.1:${of.API_INTERNAL_PORT}/readyz`)).status).toBe(200);
    expect(api.output()).not.toContain('unable to copy an empty database');
    api.signalInit('SIGTERM');
    expect(await api.exited()).toBe(0);
    rmSync(data, { recursive: true });
  });

  test('without its secrets it ends with 78 and names them', async () => {
    const relay = await startContainer(image, { command: ['relay'], env: {} });
    expect(await relay.exited()).toBe(78);
    expect(relay.output()).toMatch(/JWT_SECRET is missing.*RELAY_SERVICE_SECRET is missing.*API_URL must be set/s);
  });
});
