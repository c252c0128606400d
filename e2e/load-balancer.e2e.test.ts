import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { Agent } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Broadcaster, createBroadcaster } from '@groupcast/broadcaster';
import type { Answer } from '@groupcast/shared';
import {
  freePort,
  type ManagedProcess,
  manage,
  received,
  type ServiceProcess,
  startRelayProcess,
  TEST_SECRETS,
  tokenFor,
  until,
} from '@groupcast/testing';
import { signServiceToken } from '@groupcast/tokens';
import { io, type Socket } from 'socket.io-client';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';

const KINDS = {
  polling: ['polling'],
  websocket: ['websocket'],
  /** As a stock client does by itself. */
  upgrading: ['polling', 'websocket'],
} as const;
const KIND_NAMES = Object.keys(KINDS) as (keyof typeof KINDS)[];
/** Enough clients for every kind to be at both relays, wherever a balancer sends each. */
const CLIENTS = 60;
const ROUNDS = 10;

type Relay = ServiceProcess & { internalUrl: string };

interface Balancer {
  /** The clients that it is for. */
  kinds: readonly (keyof typeof KINDS)[];
  /** Starts it as shipped, but for ports, addresses and the folder it writes to. */
  start(port: number, relays: readonly Relay[], folder: string): ManagedProcess;
  /** The log line with which it takes a draining relay out of the rotation. */
  noticed?: string;
  /** Where the n-th client comes from. */
  addressOf(n: number): string;
}

function binary(name: string): string {
  const found = ['/usr/sbin', '/usr/local/sbin', '/usr/bin', '/usr/local/bin', '/opt/homebrew/bin']
    .map((folder) => join(folder, name))
    .find((file) => existsSync(file));
  if (!found) throw new Error(`${name} is not installed: run bash scripts/setup.sh all`);
  return found;
}

/** Every replacement must find its place, or the test would run another configuration than the shipped one. */
function adapt(file: string, replacements: readonly (readonly [string, string])[]): string {
  let text = readFileSync(file, 'utf8');
  for (const [from, to] of replacements) {
    if (!text.includes(from)) throw new Error(`${file} has no "${from}"`);
    text = text.replaceAll(from, to);
  }
  return text;
}

const internalPort = (relay: Relay): string => new URL(relay.internalUrl).port;

function nginx(config: string): Balancer['start'] {
  return (port, [one, two], folder) => {
    const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'];
    const file = join(folder, 'nginx.conf');
    const text = adapt(config, [
      ['10.0.0.11:3001', `127.0.0.1:${one?.port}`],
      ['10.0.0.12:3001', `127.0.0.1:${two?.port}`],
      ['listen 80;', `listen 127.0.0.1:${port};`],
      ['/var/log/nginx/access.log', join(folder, 'access.log')],
      ['http {', `http {${temporary.map((name) => `${name}_temp_path ${join(folder, name)};`).join('\n')}`],
    ]);
    writeFileSync(file, text);
    mkdirSync(join(folder, 'logs'));
    // One process, which ends with this one.
    const directives = `daemon off; master_process off; pid ${join(folder, 'pid')};`;
    return manage(binary('nginx'), ['-p', folder, '-e', 'stderr', '-c', file, '-g', directives], {});
  };
}

function haproxy(config: string): Balancer['start'] {
  return (port, [one, two], folder) => {
    const file = join(folder, 'haproxy.cfg');
    const text = adapt(config, [
      ['10.0.0.11:3001 check port 3002', `127.0.0.1:${one?.port} check port ${one && internalPort(one)}`],
      ['10.0.0.12:3001 check port 3002', `127.0.0.1:${two?.port} check port ${two && internalPort(two)}`],
      ['bind :80', `bind 127.0.0.1:${port}`],
    ]);
    writeFileSync(file, text);
    return manage(binary('haproxy'), ['-db', '-f', file], {});
  };
}

const noticed = 'relays/relay1 is DOWN, reason: Layer7 wrong status, code: 503';
const fromOneAddress = (): string => '127.0.0.1';
const BALANCERS: Readonly<Record<string, Balancer>> = {
  nginx: {
    kinds: KIND_NAMES,
    start: nginx('deploy/nginx.conf'),
    // It goes by the client's address: one client of each kind behind each.
    addressOf: (n) => `127.0.0.${1 + 2 * Math.floor(n / (2 * KIND_NAMES.length)) + (n % 2)}`,
  },
  'nginx for WebSocket only': {
    kinds: ['websocket'],
    start: nginx('deploy/nginx-websocket.conf'),
    addressOf: fromOneAddress,
  },
  haproxy: { kinds: KIND_NAMES, start: haproxy('deploy/haproxy.cfg'), noticed, addressOf: fromOneAddress },
  'haproxy for WebSocket only': {
    kinds: ['websocket'],
    start: haproxy('deploy/haproxy-websocket.cfg'),
    noticed,
    addressOf: fromOneAddress,
  },
};

interface Client {
  socket: Socket;
  kind: keyof typeof KINDS;
  heard: string[];
  told: number;
  /** How it lost its connections, and how often it found none. */
  lost: string[];
  refused: string[];
}

async function connectClient(url: string, n: number, { kinds, addressOf }: Balancer): Promise<Client> {
  const kind = kinds[Math.floor(n / 2) % kinds.length] ?? 'polling';
  const localAddress = addressOf(n);
  const auth = { token: await tokenFor(`u${n}`, ['1']) };
  const agent = new Agent({ localAddress, keepAlive: true }) as unknown as boolean;
  const socket = io(url, { forceNew: true, transports: [...KINDS[kind]], reconnectionDelay: 50, agent, auth });
  const client: Client = { socket, kind, heard: [], told: 0, lost: [], refused: [] };
  socket.on('new-message', ({ id }: { id: string }) => client.heard.push(id));
  socket.on('session-ending', () => {
    client.told += 1;
  });
  socket.on('disconnect', (reason) => client.lost.push(client.told > client.lost.length ? 'told' : reason));
  socket.on('connect_error', (error) => client.refused.push(error.message));
  await received(socket, 'joined-groups');
  return client;
}

/** Every connected client asks for something, and is answered. */
async function exchange(clients: readonly Client[]): Promise<void> {
  await Promise.all(
    clients.map(async ({ socket, lost }) => {
      if (!socket.connected) return;
      const before = lost.length;
      const answer: Answer<{ groupId: string }> | undefined = await socket
        .timeout(5_000)
        .emitWithAck('join-group', { groupId: '1' })
        .catch(() => undefined);
      // An answer may be lost with its connection.
      if (answer || lost.length === before) expect(answer).toMatchObject({ ok: true, groupId: '1' });
    }),
  );
}

async function connectionsOf(relay: Relay): Promise<number> {
  const token = await signServiceToken({
    secret: TEST_SECRETS.RELAY_SERVICE_SECRET,
    subject: 'test',
    scopes: ['broadcast'],
  });
  const headers = { authorization: `Bearer ${token}` };
  const response = await fetch(`${relay.internalUrl}/v1/info`, { headers });
  return ((await response.json()) as { connections: number }).connections;
}

describe.each(Object.entries(BALANCERS))('%s in front of two relays', (name, shipped) => {
  let relays: Relay[];
  let publishers: Broadcaster[];
  let balancer: ManagedProcess;
  let url: string;
  let folder: string;
  const clients: Client[] = [];

  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), 'groupcast-balancer-'));
    relays = await Promise.all(['1', '2'].map(async () => startRelayProcess({ SHUTDOWN_DRAIN_SECONDS: '3' })));
    const port = await freePort();
    url = `http://127.0.0.1:${port}`;
    balancer = shipped.start(port, relays, folder);
    await until(`${name} to answer`, async () => (await fetch(`${url}/livez`)).ok);
    // Each relay has its own members, as long as there is no Redis between them.
    publishers = relays.map((relay) =>
      createBroadcaster({ url: relay.url, serviceSecret: TEST_SECRETS.RELAY_SERVICE_SECRET }),
    );
  });
  afterEach(async () => {
    for (const { socket } of clients) socket.close();
    await Promise.all(publishers.map((publisher) => publisher.close()));
    await Promise.all([balancer, ...relays].map((child) => child.stop()));
    rmSync(folder, { recursive: true, force: true });
  });

  test('clients of every transport stay where they are; those of a relay that drains move to the other (G27)', async () => {
    for (let n = 0; n < CLIENTS; n += 1) clients.push(await connectClient(url, n, shipped));
    const polling = await fetch(`${url}/socket.io/?EIO=4&transport=polling`);
    expect(polling.status).toBe(shipped.kinds.includes('polling') ? 200 : 400);
    const [first, second] = relays as [Relay, Relay];
    // Each relay counts its publisher as well.
    const [here, there] = [(await connectionsOf(first)) - 1, (await connectionsOf(second)) - 1];
    expect(here + there).toBe(CLIENTS);
    expect(Math.min(here, there)).toBeGreaterThan(0);

    for (let round = 0; round < ROUNDS; round += 1) {
      await Promise.all(
        publishers.map((publisher) => publisher.broadcastMessage({ groupId: '1', message: { id: `r${round}` } })),
      );
      await exchange(clients);
    }
    const rounds = Array.from({ length: ROUNDS }, (_, round) => `r${round}`);
    await until('everybody to have heard all', () => clients.every(({ heard }) => heard.length === ROUNDS));
    for (const client of clients) expect(client).toMatchObject({ heard: rounds, lost: [], refused: [] });

    first.signal('SIGTERM');
    let exitCode: unknown;
    void first.exited().then((code) => {
      exitCode = code;
    });
    await until('the relay to be gone', async () => {
      await exchange(clients);
      return exitCode !== undefined;
    });
    expect(exitCode).toBe(0);
    if (shipped.noticed) expect(balancer.output()).toContain(shipped.noticed);
    await until('everybody to be at the other', async () => (await connectionsOf(second)) === CLIENTS + 1);
    for (let round = 0; round < ROUNDS; round += 1) await exchange(clients);

    // No client lost a connection without being told, and none was turned away on the way back.
    const moved = clients.filter(({ lost }) => lost.length > 0);
    expect(moved.length).toBe(here);
    for (const { lost, refused } of clients)
      expect({ lost, refused }).toEqual({ lost: lost.map(() => 'told'), refused: [] });
    expect(moved.every(({ told }) => told === 1)).toBe(true);
    expect(new Set(moved.map(({ kind }) => kind))).toEqual(new Set(shipped.kinds));
    await publishers[1]?.broadcastMessage({ groupId: '1', message: { id: 'last' } });
    await until('everybody to hear the other relay', () => clients.every(({ heard }) => heard.at(-1) === 'last'));
  });
});
