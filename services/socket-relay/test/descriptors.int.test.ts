import { readFileSync } from 'node:fs';
import { type Broadcaster, createBroadcaster } from '@groupcast/broadcaster';
import {
  EXHAUSTIBLE,
  type HeldConnections,
  holdConnections,
  received,
  type ServiceProcess,
  startRedis,
  startRelayProcess,
  TEST_SECRETS,
  tokenFor,
  until,
} from '@groupcast/testing';
import { io, type ManagerOptions, type Socket } from 'socket.io-client';
import { afterEach, describe, expect, test } from 'vitest';

const DESCRIPTORS = 256;
const QUICKLY = { SHUTDOWN_DRAIN_SECONDS: '0' };

let relay: ServiceProcess & { internalUrl: string };
let broadcaster: Broadcaster | undefined;
let tellings = 0;
let sockets: Socket[] = [];
let held: HeldConnections[] = [];
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.close();
  for (const each of held.splice(0)) each.close();
  await broadcaster?.close();
  broadcaster = undefined;
  await relay?.stop();
});

async function hold(port: number, count: number, say?: string): Promise<HeldConnections> {
  const connections = await holdConnections(port, count, say);
  held.push(connections);
  return connections;
}
/** A member of group 1 that tries again until it is let in. */
async function member(userId: string, options: Partial<ManagerOptions> = {}): Promise<Socket> {
  const auth = { token: await tokenFor(userId, ['1']) };
  const reconnecting = { reconnectionDelay: 50, reconnectionDelayMax: 200, timeout: 2_000 };
  const socket = io(relay.url, { forceNew: true, transports: ['websocket'], auth, ...reconnecting, ...options });
  sockets.push(socket);
  await received(socket, 'joined-groups', 20_000);
  return socket;
}
async function metric(name: string): Promise<number> {
  const text = await (await fetch(`${relay.internalUrl}/metrics`)).text();
  const values = text.split('\n').filter((line) => line.startsWith(name) && !line.startsWith('#'));
  return values.reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0);
}
async function isReady(): Promise<boolean> {
  return (await fetch(`${relay.internalUrl}/readyz`)).status === 200;
}
async function tell(socket: Socket, content: string, withinMs?: number): Promise<void> {
  broadcaster ??= createBroadcaster({
    url: relay.url,
    serviceSecret: TEST_SECRETS.RELAY_SERVICE_SECRET,
    timeoutMs: 5_000,
  });
  tellings += 1;
  let last: unknown;
  socket.once('new-message', (message: { content: string }) => {
    last = message.content;
  });
  await broadcaster.broadcastMessage({ groupId: '1', message: { id: `m${tellings}`, content } });
  await until(`"${content}"`, () => last === content, withinMs);
}

describe.each([
  ['one relay', {}],
  ['two workers', { RELAY_WORKERS: '2' }],
])('%s with fewer descriptors than there are connections', (_name, workers) => {
  test('serves its members and its internal port, and lets others in (G37)', async () => {
    relay = await startRelayProcess({ ...QUICKLY, ...workers }, { descriptors: DESCRIPTORS });
    const alice = await member('alice');
    await tell(alice, 'before');
    const silent = await hold(relay.port, 4 * DESCRIPTORS);
    // There are more than there is room for: those that are left are in the way of every new connection.
    await until('some to be closed', () => silent.open() < 4 * DESCRIPTORS);
    // A worker that is busy with all of them may be late to say so.
    await until('readiness', isReady);
    await tell(alice, 'meanwhile');
    const bob = await member('bob');
    await tell(bob, 'to bob');
    expect(await metric('groupcast_relay_tcp_connections_closed_total{')).toBeGreaterThan(0);
    expect(relay.output()).toContain('TOO_MANY_CONNECTIONS');
    // They give up their places by themselves as well.
    await until('the silent ones to be closed', () => silent.open() === 0, 20_000);
    expect(alice.connected).toBe(true);
    expect(relay.child.exitCode).toBe(null);
  });
});

describe('one relay whose places are all taken', () => {
  // Each of them uses its place: it is a WebSocket whose token was accepted, or a poll that is answered when there is something.
  test('refuses others, and says so; members keep their places', async () => {
    relay = await startRelayProcess({ ...QUICKLY, MAX_CONNECTIONS: '10' });
    const members = await Promise.all(Array.from({ length: 9 }, async (_, n) => member(`member${n}`)));
    await tell(members[0] as Socket, 'first');
    const late = io(relay.url, { forceNew: true, transports: ['websocket'], reconnection: false });
    sockets.push(late);
    await received(late, 'connect_error');
    expect(await metric('groupcast_relay_tcp_connections_refused_total{')).toBeGreaterThan(0);
    expect(await metric('groupcast_relay_tcp_connections{port="public",of="max"}')).toBe(10);
    const knocks = await hold(relay.port, 20);
    await until('everybody to be refused', () => knocks.open() === 0);
    expect(members.filter(({ connected }) => connected)).toHaveLength(9);
    members[1]?.close();
    await member('another');
  });

  test.each([['1'], ['2']])(
    'takes none from polls of members, for strangers that say nothing (%s workers)',
    async (workers) => {
      relay = await startRelayProcess({ ...QUICKLY, MAX_CONNECTIONS: '40', RELAY_WORKERS: workers });
      const members = await Promise.all(
        Array.from({ length: 12 }, async (_, n) => member(`member${n}`, { transports: ['polling'] })),
      );
      let lost = 0;
      for (const each of members) each.on('disconnect', () => (lost += 1));
      const silent = await hold(relay.port, 120);
      await until('most of them to be closed', () => silent.open() < 40, 20_000);
      // A connection that is kept alive between two requests may make room just as the next one comes; a poll that waits does not.
      expect(lost).toBeLessThan(members.length);
      silent.close();
      await until('everybody to be back', () => members.every(({ connected }) => connected), 20_000);
      // A connection on its way back misses events meanwhile: a stock client asks for nothing.
      await until('a message', async () => tell(members[0] as Socket, 'still here', 2_000).then(() => true), 20_000);
    },
  );

  test('takes none for polls that never show a token', async () => {
    relay = await startRelayProcess({ ...QUICKLY, MAX_CONNECTIONS: '10' });
    const alice = await member('alice');
    const polls = await Promise.all(
      Array.from({ length: 9 }, async () => {
        const path = '/socket.io/?EIO=4&transport=polling';
        const greeting = await fetch(`${relay.url}${path}`, { headers: { connection: 'close' } });
        const { sid } = JSON.parse((await greeting.text()).slice(1)) as { sid: string };
        return `GET ${path}&sid=${sid} HTTP/1.1\r\nhost: relay\r\n\r\n`;
      }),
    );
    const strangers = await Promise.all(polls.map(async (poll) => hold(relay.port, 1, poll)));
    await member('bob');
    expect(strangers.filter((each) => each.open() === 0).length).toBeGreaterThan(0);
    expect(alice.connected).toBe(true);
  });

  test('takes none for a WebSocket that never shows a token', async () => {
    relay = await startRelayProcess({ ...QUICKLY, MAX_CONNECTIONS: '10' });
    const overPolling = { transports: ['polling', 'websocket'] };
    const members = await Promise.all([member('alice'), member('bob'), member('carol', overPolling)]);
    await until('the upgrade', () => members[2]?.io.engine.transport.name === 'websocket');
    const upgrade = [
      'GET /socket.io/?EIO=4&transport=websocket HTTP/1.1',
      'host: relay',
      'connection: upgrade',
      'upgrade: websocket',
      'sec-websocket-version: 13',
      'sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==',
    ];
    const strangers = await hold(relay.port, 7, `${upgrade.join('\r\n')}\r\n\r\n`);
    await until('them to be upgraded', () => strangers.answers().split('101 Switching').length === 8);
    await member('dave');
    expect(strangers.open()).toBeLessThan(7);
    // They were there before the strangers, and have said nothing since.
    expect(members.every(({ connected }) => connected)).toBe(true);
  });

  test('takes none for an upgrade that was refused and is not closed by its peer', async () => {
    relay = await startRelayProcess({ ...QUICKLY });
    const elsewhere = ['GET /elsewhere HTTP/1.1', 'host: relay', 'connection: upgrade', 'upgrade: websocket'];
    const before = await metric('process_open_fds');
    // The bytes after the request are never read, and so is not its end.
    const strangers = await hold(relay.port, 20, `${elsewhere.join('\r\n')}\r\n\r\nand more`);
    await until('their places', async () => (await metric('process_open_fds')) >= before + 20);
    await until('them to be free', async () => (await metric('process_open_fds')) < before + 10, 20_000);
    strangers.close();
  });
});

describe('a relay without a descriptor left', () => {
  test('goes on, and lets others in when it has some again', async () => {
    relay = await startRelayProcess({ ...QUICKLY, ...EXHAUSTIBLE }, { descriptors: DESCRIPTORS });
    const alice = await member('alice');
    await tell(alice, 'before');
    relay.signal('SIGWINCH');
    await relay.wrote('EMFILE: exhausted');
    const knocks = await hold(relay.port, 50);
    await tell(alice, 'meanwhile');
    await relay.wrote('outlived');
    await tell(alice, 'still');
    relay.signal('SIGWINCH');
    await relay.wrote('released');
    knocks.close();
    await tell(await member('bob'), 'after');
    expect(await isReady()).toBe(true);
  });

  test('finds its Redis again, when it has some again', async () => {
    const redis = await startRedis();
    try {
      const env = { ...QUICKLY, ...EXHAUSTIBLE, REDIS_URL: redis.url };
      relay = await startRelayProcess(env, { descriptors: DESCRIPTORS });
      const alice = await member('alice');
      await tell(alice, 'before');
      await redis.kill();
      await until('the relay to miss it', async () => !(await isReady()));
      relay.signal('SIGWINCH');
      await relay.wrote('EMFILE: exhausted');
      await redis.restart();
      await relay.wrote('outlived');
      expect(relay.child.exitCode).toBe(null);
      relay.signal('SIGWINCH');
      await relay.wrote('released');
      await until('the relay to be ready', isReady);
      await tell(await member('bob'), 'after');
    } finally {
      await relay.stop();
      await redis.stop();
    }
  });

  test('starts a worker again, when it has some again', async () => {
    relay = await startRelayProcess(
      { ...QUICKLY, ...EXHAUSTIBLE, RELAY_WORKERS: '2', NODE_LEASE_SECONDS: '5' },
      { descriptors: DESCRIPTORS },
    );
    const { pid } = relay.child;
    const workers = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ').map(Number);
    expect(workers).toHaveLength(2);
    relay.signal('SIGWINCH');
    await relay.wrote('EMFILE: exhausted');
    process.kill(workers[0] ?? 0, 'SIGKILL');
    await relay.wrote('a worker has ended; starting another');
    await relay.wrote('outlived');
    expect(relay.child.exitCode).toBe(null);
    relay.signal('SIGWINCH');
    await relay.wrote('released');
    await until('both workers to be ready', isReady);
    await tell(await member('alice'), 'after');
  });
});
