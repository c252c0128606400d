import { Agent, request } from 'node:http';
import { type Broadcaster, createBroadcaster } from '@groupcast/broadcaster';
import type { GroupEvent, MonitorEvent, MonitorSnapshot, MonitorState } from '@groupcast/shared';
import {
  freePort,
  openRaw,
  type RedisServer,
  received,
  type ServiceProcess,
  startNode,
  startRedis,
  startRelayProcess,
  TEST_SECRETS,
  tokenFor,
  until,
} from '@groupcast/testing';
import { signServiceToken } from '@groupcast/tokens';
import { io, type ManagerOptions, type Socket, type SocketOptions } from 'socket.io-client';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { openRawClient, rawMember } from './raw-client.ts';
import { ask } from './relay-harness.ts';

const WORKERS = 3;
const EPOCH = '1-a';
const POLLING = { transports: ['polling'] };
const MAIN = new URL('../dist/main.js', import.meta.url).pathname;

const numbers = (from: number, to: number): number[] => Array.from({ length: to - from + 1 }, (_, n) => from + n);
const seqs = (events: readonly GroupEvent[]): number[] => events.map(({ seq }) => seq);
/** The worker that has the connection: its session's id says so. */
const workerOf = (socket: Socket): number => Number((socket.io.engine as { id?: string }).id?.split('.')[0]);
const isAlive = (pid: number): boolean => {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
};

describe.each([
  ['without Redis', false],
  ['on Redis', true],
])('three workers %s', (_name, withRedis) => {
  let redis: RedisServer | undefined;
  let relay: ServiceProcess & { internalUrl: string };
  let sockets: Socket[] = [];
  let broadcasters: Broadcaster[] = [];
  let groups = 0;
  let groupId = '';
  /** A user of each test: connections of the last one may not have been taken down yet. */
  let alice = '';

  beforeAll(async () => {
    redis = withRedis ? await startRedis() : undefined;
    relay = await startRelayProcess({
      RELAY_WORKERS: String(WORKERS),
      NODE_LEASE_SECONDS: '5',
      SHUTDOWN_DRAIN_SECONDS: '0',
      RELAY_WS_PATH: '/ws',
      PUBLIC_BROADCAST_API: '1',
      ...(redis ? { REDIS_URL: redis.url } : {}),
    });
  });
  beforeEach(() => {
    groups += 1;
    groupId = `g${groups}`;
    alice = `alice${groups}`;
    broadcasters = Array.from({ length: 2 * WORKERS }, () =>
      createBroadcaster({ url: relay.url, serviceSecret: TEST_SECRETS.RELAY_SERVICE_SECRET, timeoutMs: 5_000 }),
    );
  });
  afterEach(async () => {
    for (const socket of sockets.splice(0)) socket.close();
    await Promise.all(broadcasters.map(async (broadcaster) => broadcaster.close()));
  });
  afterAll(async () => {
    await relay?.stop();
    await redis?.stop();
  });

  function client(auth: SocketOptions['auth'], options: Partial<ManagerOptions & SocketOptions> = {}): Socket {
    const defaults = {
      forceNew: true,
      transports: ['websocket'],
      reconnectionDelay: 50,
      reconnectionDelayMax: 200,
      // For the same reason: Socket.IO's own time-out is 20 s.
      timeout: 2_000,
    };
    const socket = io(relay.url, { ...defaults, auth: auth ?? {}, ...options });
    sockets.push(socket);
    return socket;
  }
  async function member(userId: string, named: readonly string[] = [groupId], options = {}): Promise<Socket> {
    const socket = client({ token: await tokenFor(userId, named) }, options);
    await received(socket, 'joined-groups');
    return socket;
  }
  /** Connections of one user, until every worker has one: the first of each worker. */
  async function onEveryWorker(connect: () => Promise<Socket>): Promise<[Socket, Socket, Socket]> {
    const byWorker = new Map<number, Socket>();
    while (byWorker.size < WORKERS) {
      const socket = await connect();
      if (byWorker.has(workerOf(socket))) socket.close();
      else byWorker.set(workerOf(socket), socket);
    }
    return [...byWorker.keys()].toSorted().map((worker) => byWorker.get(worker)) as [Socket, Socket, Socket];
  }
  async function service(): Promise<Socket> {
    const options = { secret: TEST_SECRETS.RELAY_SERVICE_SECRET, subject: 'test' };
    const token = await signServiceToken({ ...options, scopes: ['broadcast'] });
    const socket = client({ token, type: 'api' });
    await received(socket, 'connect');
    return socket;
  }
  /** A token from before the removal lets nobody into the group, on no worker. */
  async function refusedEverywhere(token: string): Promise<void> {
    const back = await onEveryWorker(async () => {
      const socket = client({ token });
      expect(await received(socket, 'joined-groups')).toEqual({ groups: [] });
      return socket;
    });
    for (const socket of back) expect(await ask(socket, 'join-group', { groupId })).toBe('NOT_A_MEMBER');
  }
  function shown(socket: Socket): GroupEvent[] {
    const events: GroupEvent[] = [];
    socket.on('new-message', (event: GroupEvent) => {
      if (event.groupId === groupId) events.push(event);
    });
    return events;
  }
  const positioned = (seq: number) => ({
    groupId,
    epoch: EPOCH,
    seq,
    id: `${groupId}-${seq}`,
    message: { content: 'x' },
  });
  /** Process ids of a worker, those that are gone included, as the log has them. */
  function pidsOf(worker: number): number[] {
    const lines = relay
      .output()
      .split('\n')
      .filter((line) => line.includes('"a worker is ready"'));
    return lines
      .map((line) => JSON.parse(line) as { worker: number; pid: number })
      .filter((line) => line.worker === worker)
      .map(({ pid }) => pid);
  }
  async function readiness(): Promise<{ status: string; failing?: string[] }> {
    // A connection that was handed to a worker as it died is answered by nobody (ADR 7): the client gives up, and asks again.
    const response = await fetch(`${relay.internalUrl}/readyz`, { signal: AbortSignal.timeout(1_000) });
    return response.json() as Promise<{ status: string; failing?: string[] }>;
  }

  test('plain WebSockets are members on whichever worker they come to (G76)', async () => {
    const raw = await Promise.all(
      Array.from({ length: 3 * WORKERS }, async () => rawMember(`${relay.url}/ws`, alice, [groupId])),
    );
    const [publisher] = broadcasters;
    const at = (seq: number) => ({ id: `m${seq}`, epoch: EPOCH, seq });
    await publisher?.broadcastMessage({ groupId, ...at(1), message: { text: 'one' } });
    for (const each of raw) expect(await each.frame('new-message')).toMatchObject({ text: 'one', ...at(1) });
    await publisher?.broadcastMessage({ groupId, ...at(2), message: { text: 'two' } });
    const again = await openRawClient(`${relay.url}/ws`);
    again.send({
      type: 'auth',
      token: await tokenFor(alice, [groupId]),
      positions: { [groupId]: { epoch: EPOCH, seq: 1 } },
    });
    expect(await again.frame('resumed')).toMatchObject({
      groups: { [groupId]: { recovered: true, events: [expect.objectContaining(at(2))] } },
    });
    await publisher?.removeMembers({ groupId, userIds: [alice] });
    for (const each of [...raw, again]) {
      expect(await each.frame('left-groups')).toMatchObject({ groups: [groupId] });
      each.close();
    }
  });

  test('thirty members over websocket and thirty over polling get every event once and in order, whichever worker takes it (G28)', async () => {
    const members = await Promise.all(
      numbers(1, 60).map(async (n) => member(`user${n}`, [groupId], n % 2 ? {} : POLLING)),
    );
    expect(new Set(members.map(workerOf)).size).toBe(WORKERS);
    const seen = members.map(shown);
    for (const seq of numbers(1, 40)) {
      const result = await broadcasters[seq % broadcasters.length]?.broadcastMessage(positioned(seq));
      expect(result).toMatchObject({ duplicate: false, recipients: { nodes: WORKERS }, warnings: [] });
    }
    expect(await broadcasters[1]?.broadcastMessage(positioned(40))).toMatchObject({ duplicate: true });
    for (const events of seen) {
      await until('every event', () => events.length >= 40);
      expect(seqs(events)).toEqual(numbers(1, 40));
    }
  });

  test('numbers given to publishers that send at once, to different workers, are one sequence for everybody', async () => {
    const members = await onEveryWorker(async () => member(alice));
    const seen = members.map(shown);
    await Promise.all(
      numbers(1, 90).map(async (n) =>
        broadcasters[n % broadcasters.length]?.broadcastMessage({ groupId, id: `m${n}`, message: { content: `${n}` } }),
      ),
    );
    for (const events of seen) {
      await until('every event', () => events.length >= 90);
      expect(seqs(events)).toEqual(numbers(1, 90));
    }
  });

  test('polls of many sessions may share one connection, as behind a proxy', async () => {
    const shared = new Agent({ keepAlive: true, maxSockets: 1 });
    async function call(
      method: string,
      query: string,
      { body, agent = shared }: { body?: string; agent?: Agent | false } = {},
    ): Promise<[number | undefined, string]> {
      return new Promise((resolve, reject) => {
        const url = `${relay.url}/socket.io/?EIO=4&transport=polling${query}`;
        const outgoing = request(url, { agent, method }, (answer) => {
          let text = '';
          answer.setEncoding('utf8').on('data', (part: string) => {
            text += part;
          });
          answer.once('end', () => resolve([answer.statusCode, text]));
        });
        outgoing.once('error', reject).end(body);
      });
    }
    /** One of each worker. */
    const sids = new Map<string, string>();
    while (sids.size < WORKERS) {
      const [, text] = await call('GET', '', { agent: false });
      const { sid } = JSON.parse(text.slice(1)) as { sid: string };
      sids.set(sid.split('.')[0] ?? '', sid);
    }
    const token = await tokenFor(alice, [groupId]);
    for (const sid of sids.values()) {
      expect(await call('POST', `&sid=${sid}`, { body: `40${JSON.stringify({ token })}` })).toEqual([200, 'ok']);
    }
    for (const sid of sids.values())
      expect(await call('GET', `&sid=${sid}`)).toEqual([200, expect.stringMatching(/^40/)]);
    expect((await call('GET', '&sid=2.nobody'))[0]).toBe(400);
    expect((await call('GET', '&sid=99.nobody'))[0]).toBe(400);
    shared.destroy();
  });

  test('sessions that begin with polling are upgraded, on whichever worker the upgrade arrives', async () => {
    const members = await Promise.all(
      numbers(1, 40).map(async (n) => member(`user${n}`, [groupId], { transports: ['polling', 'websocket'] })),
    );
    const name = (socket: Socket): string => socket.io.engine.transport.name;
    await until('the upgrades', () => members.every((socket) => name(socket) === 'websocket'));
    const seen = members.map(shown);
    for (const seq of numbers(1, 5)) await broadcasters[0]?.broadcastMessage(positioned(seq));
    for (const events of seen) {
      await until('every event', () => events.length >= 5);
      expect(seqs(events)).toEqual(numbers(1, 5));
    }
  });

  test('members added or removed at one worker are in or out at all of them before the answer', async () => {
    const old = await tokenFor(alice, [groupId]);
    const members = await onEveryWorker(async () => member(alice, []));
    const joined = members.map(async (socket) => received(socket, 'joined-groups'));
    const seen = members.map(shown);
    const at = await onEveryWorker(service);
    expect(await ask(at[0], 'api-add-members', { groupId, userIds: [alice], epoch: EPOCH, seq: 1 })).toMatchObject({
      ok: true,
    });
    expect(await ask(at[1], 'api-broadcast-message', positioned(1))).toMatchObject({ recipients: { nodes: WORKERS } });
    await Promise.all(joined);
    for (const events of seen) await until('the event', () => events.length === 1);
    expect(await ask(at[2], 'api-remove-members', { groupId, userIds: [alice], epoch: EPOCH, seq: 2 })).toMatchObject({
      ok: true,
    });
    await ask(at[0], 'api-broadcast-message', positioned(2));
    // An event after it on the same connection has not been overtaken.
    for (const socket of members) await ask(socket, 'leave-group', { groupId });
    expect(seen.map(seqs)).toEqual([[1], [1], [1]]);
    await refusedEverywhere(old);
  });

  test('presence, notifications and disconnects count over all workers', async () => {
    const members = await onEveryWorker(async () => member(alice));
    await member('bob', [groupId], POLLING);
    const present = async (): Promise<unknown> => ask(members[0], 'get-presence', { groupId });
    await until('everybody', async () => ((await present()) as { numConnections: number }).numConnections === 4);
    expect(await present()).toMatchObject({ numUsers: 2 });
    expect(await broadcasters[0]?.notifyUsers({ userIds: [alice], event: 'hello', data: {} })).toEqual({
      recipients: WORKERS,
    });
    expect(await broadcasters[1]?.disconnectUsers({ userIds: [alice], code: 'BANNED', next: 'stop' })).toMatchObject({
      connections: WORKERS,
    });
  });

  test('a monitor at any worker sees the connections of all of them, and what happens on each', async () => {
    const members = await onEveryWorker(async () => member(alice));
    const options = { secret: TEST_SECRETS.RELAY_SERVICE_SECRET, subject: 'test' };
    const token = await signServiceToken({ ...options, scopes: ['monitor'] });
    const views = new Map<Socket, { connections: Set<string>; nodes: Set<string> }>();
    const monitors = await onEveryWorker(async () => {
      const monitor = client({ token, type: 'monitor' });
      const view = { connections: new Set<string>(), nodes: new Set<string>() };
      views.set(monitor, view);
      monitor.on('monitor-snapshot', ({ connections }: MonitorSnapshot) => {
        for (const { socketId } of connections) view.connections.add(socketId);
      });
      monitor.on('monitor-event', (event: MonitorEvent) => {
        if (event.kind === 'connected') view.nodes.add(event.node);
      });
      await received(monitor, 'monitor-snapshot');
      return monitor;
    });
    for (const monitor of monitors) {
      const view = views.get(monitor);
      await until('everybody', () => members.every(({ id }) => view?.connections.has(id ?? '')));
      await until('events of every worker', async () => {
        (await member(alice)).close();
        return view?.nodes.size === WORKERS;
      });
    }
  });

  test('a login of the monitor page holds at every worker, and shows all of them', async () => {
    const secret = TEST_SECRETS.RELAY_SERVICE_SECRET;
    const token = await signServiceToken({ secret, scopes: ['monitor'], subject: 'operator' });
    const page = `${relay.internalUrl}/monitor`;
    const login = await fetch(page, { method: 'POST', body: new URLSearchParams({ token }), redirect: 'manual' });
    const cookie = login.headers.get('set-cookie')?.split(';', 1)[0] ?? '';
    const answering = new Set<string>();
    await until('every worker to answer', async () => {
      const answer = await fetch(`${page}/state`, { headers: { cookie, connection: 'close' } });
      expect(answer.status).toBe(200);
      const state = (await answer.json()) as MonitorState;
      answering.add(state.node);
      expect([state.nodes.length, state.silent]).toEqual([WORKERS, []]);
      return answering.size === WORKERS;
    });
    await fetch(`${page}/logout`, { method: 'POST', headers: { cookie }, redirect: 'manual' });
    for (const _each of answering) {
      const answer = await fetch(`${page}/state`, { headers: { cookie, connection: 'close' } });
      expect(answer.status).toBe(401);
    }
  });

  test('the internal port, and the broadcast API on the public one, speak for all workers', async () => {
    const members = await onEveryWorker(async () => member(alice));
    expect(await readiness()).toEqual({ status: 'ready' });
    const metrics = async () => (await fetch(`${relay.internalUrl}/metrics`)).text();
    // Each worker sends itself canaries.
    await until('a canary', async () => !/^groupcast_relay_canary_seconds 0$/m.test(await metrics()));
    expect(await metrics()).toMatch(/^groupcast_relay_canary_failures_total 0$/m);
    const text = await metrics();
    const users = Number(/^groupcast_relay_connections\{type="user"\} (\d+)$/m.exec(text)?.[1]);
    expect(users).toBeGreaterThanOrEqual(members.length);
    expect(text).toMatch(/^groupcast_relay_absent_total\{why="offline"\} 0$/m);
    const options = { secret: TEST_SECRETS.RELAY_SERVICE_SECRET, subject: 'test' };
    const token = await signServiceToken({ ...options, scopes: ['broadcast'] });
    const seen = members.map(shown);
    expect(await (await fetch(`${relay.url}/readyz`)).json()).toMatchObject({ status: 'ready' });
    for (const seq of numbers(1, 6)) {
      const answer = await fetch(`${seq % 2 === 0 ? relay.internalUrl : relay.url}/v1/broadcast`, {
        method: 'POST',
        headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json', connection: 'close' },
        body: JSON.stringify(positioned(seq)),
      });
      expect(await answer.json()).toMatchObject({ ok: true, recipients: { nodes: WORKERS } });
    }
    for (const events of seen) {
      await until('every event', () => events.length >= 6);
      expect(seqs(events)).toEqual(numbers(1, 6));
    }
  });

  test('a worker killed in mid-stream is started again, and its members recover everything (G28)', {
    timeout: 90_000,
  }, async () => {
    const token = await tokenFor(alice, [groupId]);
    const old = await tokenFor(`mallory${groupId}`, [groupId]);
    await broadcasters[0]?.removeMembers({ groupId, userIds: [`mallory${groupId}`] });
    function follow(options: object): { socket: Socket; events: GroupEvent[]; lost: boolean[] } {
      const events: GroupEvent[] = [];
      const lost: boolean[] = [];
      const socket = client((give) => {
        const last = events.at(-1);
        const positions = last ? { positions: { [groupId]: { epoch: last.epoch, seq: last.seq } } } : {};
        give({ token, ...positions });
      }, options);
      socket.on(
        'resumed',
        ({ groups: answer }: { groups: Record<string, { recovered: boolean; events: GroupEvent[] }> }) => {
          if (answer[groupId]?.recovered !== true) lost.push(true);
          events.push(...(answer[groupId]?.events ?? []));
        },
      );
      socket.on('new-message', (event: GroupEvent) => events.push(event));
      return { socket, events, lost };
    }
    const followers = numbers(1, 12).map((n) => follow(n % 2 ? {} : POLLING));
    await Promise.all(followers.map(async ({ socket }) => received(socket, 'joined-groups')));
    const doomed = workerOf(followers[0]?.socket as Socket);
    const before = pidsOf(doomed);
    const stream = (async () => {
      for (const seq of numbers(1, 300)) {
        await until('it to be accepted', async () =>
          broadcasters[seq % broadcasters.length]?.broadcastMessage(positioned(seq)),
        );
      }
    })();
    await until('the middle', () => (followers[0]?.events.length ?? 0) > 60);
    process.kill(before.at(-1) as number, 'SIGKILL');
    await stream;
    for (const { events, lost } of followers) {
      await until('every event', () => events.at(-1)?.seq === 300);
      expect(seqs(events)).toEqual(numbers(1, 300));
      expect(lost).toEqual([]);
    }
    await until('another worker', () => pidsOf(doomed).length > before.length);
    await until('ready again', async () => (await readiness()).status === 'ready');
    // It takes connections, and knows the changes from before it was there.
    const [, , third] = await onEveryWorker(async () => member('bob'));
    expect(await ask(third, 'join-group', { groupId, position: { epoch: EPOCH, seq: 290 } })).toMatchObject({
      recovered: true,
      position: { epoch: EPOCH, seq: 300 },
    });
    await refusedEverywhere(old);
  });

  test('a worker that hangs fails a removal, until it is killed; then the removal holds', async () => {
    const old = await tokenFor(alice, [groupId]);
    const members = await onEveryWorker(async () => member(alice));
    const at = await onEveryWorker(service);
    const ended = received(members[1], 'disconnect', 20_000);
    const before = pidsOf(workerOf(members[1]));
    process.kill(before.at(-1) as number, 'SIGSTOP');
    const remove = async (): Promise<unknown> => ask(at[0], 'api-remove-members', { groupId, userIds: [alice] });
    expect(await remove()).toBe('BROKER_UNAVAILABLE');
    await until('the removal', async () => typeof (await remove()) === 'object', 20_000);
    await ended;
    await until('ready again', async () => (await readiness()).status === 'ready', 20_000);
    await refusedEverywhere(old);
  });

  test('a drain, whichever of them is asked, empties all of them until it is undone', async () => {
    const options = { secret: TEST_SECRETS.RELAY_SERVICE_SECRET, subject: 'test' };
    const token = await signServiceToken({ ...options, scopes: ['admin'] });
    async function call(method: string, body?: object, query = ''): Promise<[number, object]> {
      const response = await fetch(`${relay.internalUrl}/v1/drain${query}`, {
        method,
        // Each on a connection of its own, so that another worker answers.
        headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json', connection: 'close' },
        ...(body ? { body: JSON.stringify(body) } : {}),
      });
      return [response.status, (await response.json()) as object];
    }
    const knock = async (): Promise<number> =>
      (await fetch(`${relay.url}/socket.io/?EIO=4&transport=polling`, { headers: { connection: 'close' } })).status;
    await Promise.all(broadcasters.map(async (broadcaster) => broadcaster.close()));
    const connect = async (): Promise<Socket> => member(alice, [groupId], { reconnection: false });
    // Of two connections on a worker one is told at once, and the other after half of the time.
    const pairs = [await onEveryWorker(connect), await onEveryWorker(connect)];
    const told = [0, 1, 2].map(async (worker) =>
      Promise.any(pairs.map(async (members) => received(members[worker] as Socket, 'session-ending', 60_000))),
    );
    await until('only these', async () => ((await call('GET'))[1] as { total: number }).total === 2 * WORKERS);

    const given = call('POST', { seconds: 3_600 });
    await until('the drain', async () => ((await call('GET'))[1] as { state: string }).state === 'draining');
    expect(await call('DELETE')).toMatchObject([200, { state: 'serving', moved: 0 }]);
    expect(await given).toMatchObject([409, { error: { code: 'CONFLICT' } }]);
    await Promise.all(told);
    for (const socket of pairs.flat()) socket.close();
    await until('nobody', async () => ((await call('GET'))[1] as { total: number }).total === 0);

    const again = await onEveryWorker(connect);
    const gone = { total: WORKERS, moved: WORKERS, remaining: 0, recovered: withRedis ? 0 : null };
    const drained = [200, { ok: true, state: 'drained', ...gone }];
    expect(await Promise.all([call('POST', { seconds: 0.2 }), call('POST', { seconds: 3_600 })])).toEqual([
      drained,
      drained,
    ]);
    expect(again.some(({ connected }) => connected)).toBe(false);
    expect(await readiness()).toEqual({ status: 'unready', failing: ['draining'] });

    // A worker that takes another's place takes its part in the drain.
    const before = pidsOf(2);
    process.kill(before.at(-1) as number, 'SIGKILL');
    await until('another worker', () => pidsOf(2).length > before.length);
    await until('it to drain', async () => ((await call('GET'))[1] as { state: string }).state === 'drained');
    for (let n = 0; n < 4 * WORKERS; n += 1) expect(await knock()).toBe(503);
    expect(await call('DELETE')).toMatchObject([200, { state: 'serving' }]);
    await until('ready', async () => (await readiness()).status === 'ready');
    await onEveryWorker(async () => member(alice));
  });

  test('SIGTERM drains all of them and exits 0', async () => {
    const members = await onEveryWorker(async () => member(alice, [groupId], { reconnection: false }));
    const pids = numbers(1, WORKERS).map((worker) => pidsOf(worker).at(-1) as number);
    const ends = members.map(async (socket) => received(socket, 'session-ending'));
    relay.signal('SIGTERM');
    for (const end of ends) expect(await end).toMatchObject({ code: 'SERVER_DRAINING', next: 'reconnect' });
    expect(await relay.exited()).toBe(0);
    expect(pids.filter(isAlive)).toEqual([]);
  });
});

describe('workers and their primary', () => {
  const env = { RELAY_WORKERS: '2', API_URL: '', ...TEST_SECRETS };

  test.each(['RELAY_PORT', 'RELAY_INTERNAL_PORT'])('with %s taken say so in one line and exit 1', async (name) => {
    const other = await startRelayProcess({});
    const taken = name === 'RELAY_PORT' ? other.port : new URL(other.internalUrl).port;
    const ports = { RELAY_PORT: String(await freePort()), RELAY_INTERNAL_PORT: String(await freePort()) };
    const relay = startNode([MAIN], { ...env, ...ports, [name]: String(taken), LOG_LEVEL: 'fatal' });
    expect(await relay.exited()).toBe(1);
    expect(relay.output().trim().split('\n')).toEqual([
      `socket-relay: unable to listen; port ${taken} is already in use`,
    ]);
    await other.stop();
  });

  test('end when it is killed', async () => {
    const relay = await startRelayProcess({ ...env, RELAY_WORKERS: 'auto', SHUTDOWN_DRAIN_SECONDS: '0' });
    const pids = [...relay.output().matchAll(/"pid":(\d+)/g)].map((match) => Number(match[1]));
    relay.signal('SIGKILL');
    await until('the workers to end', () => !pids.some(isAlive));
    await relay.stop();
  });

  /** Polling clients that are all on the first worker; about half of their polls come in through the second. */
  async function onFirstWorker(url: string, count: number): Promise<Socket[]> {
    const sockets: Socket[] = [];
    while (sockets.length < count) {
      const auth = { token: await tokenFor(`u${sockets.length}`, ['g']) };
      const socket = io(url, { ...POLLING, forceNew: true, reconnection: false, auth });
      await received(socket, 'joined-groups');
      if (workerOf(socket) === 1) sockets.push(socket);
      else socket.close();
    }
    return sockets;
  }

  test('stop together: one without connections passes requests on until the others have none (G28)', async () => {
    const relay = await startRelayProcess({ ...env, SHUTDOWN_DRAIN_SECONDS: '1' });
    const members = await onFirstWorker(relay.url, 8);
    const ends = members.map(async (socket) => received(socket, 'session-ending'));
    relay.signal('SIGTERM');
    for (const end of ends) expect(await end).toMatchObject({ code: 'SERVER_DRAINING' });
    expect(await relay.exited()).toBe(0);
  });

  test('stop together when a signal to all of them comes to the workers first', async () => {
    const relay = await startRelayProcess({ ...env, SHUTDOWN_DRAIN_SECONDS: '1' });
    const members = await onFirstWorker(relay.url, 8);
    const ends = members.map(async (socket) => received(socket, 'session-ending'));
    const lines = relay.output().split('\n');
    const ready = lines.filter((line) => line.includes('"a worker is ready"')).map((line) => JSON.parse(line));
    for (const { pid } of ready) process.kill(pid, 'SIGTERM');
    await until('the empty worker to be drained', () => relay.output().includes('"worker":2,"state":"drained"'));
    relay.signal('SIGTERM');
    for (const end of ends) expect(await end).toMatchObject({ code: 'SERVER_DRAINING' });
    expect(await relay.exited()).toBe(0);
  });

  test('stop when one of them hangs: it is ended, and the others do not wait for it', async () => {
    const relay = await startRelayProcess({ ...env, SHUTDOWN_DRAIN_SECONDS: '0' });
    const lines = relay.output().split('\n');
    const ready = lines.filter((line) => line.includes('"a worker is ready"')).map((line) => JSON.parse(line));
    process.kill(ready.find(({ worker }) => worker === 2).pid, 'SIGSTOP');
    relay.signal('SIGTERM');
    expect(await relay.exited()).toBe(0);
    expect(relay.output()).toContain('"worker":2,"msg":"a worker does not stop; ending it"');
  });

  test('one worker is this process and no other', async () => {
    const relay = await startRelayProcess({ ...env, RELAY_WORKERS: '1' });
    const pids = new Set([...relay.output().matchAll(/"pid":(\d+)/g)].map((match) => match[1]));
    expect(pids.size).toBe(1);
    await relay.stop();
  });
});

test('strangers who wish for another protocol at the broadcast API make room for others', async () => {
  const env = { RELAY_WORKERS: '2', PUBLIC_BROADCAST_API: '1', MAX_CONNECTIONS: '40' };
  const relay = await startRelayProcess(env);
  const head = 'GET /v1/groups/1/presence HTTP/1.1\r\nhost: x\r\nconnection: Upgrade\r\nupgrade: x\r\n\r\n';
  const strangers = Array.from({ length: 100 }, () => openRaw(relay.port));
  try {
    for (const { socket } of strangers) socket.write(head);
    await until('each to be answered, or let go', () =>
      strangers.every(({ text, isClosed }) => text() !== '' || isClosed()),
    );
    // Any worker may take a connection.
    const asked = async (): Promise<boolean> =>
      fetch(`${relay.url}/livez`, { headers: { connection: 'close' } }).then(
        ({ ok }) => ok,
        () => false,
      );
    await until('others to be let in', async () =>
      (await Promise.all(Array.from({ length: 6 }, asked))).every(Boolean),
    );
  } finally {
    for (const { socket } of strangers) socket.destroy();
    await relay.stop();
  }
});
