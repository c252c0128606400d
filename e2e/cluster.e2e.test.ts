import { createClient, type GroupcastClient } from '@groupcast/client';
import type { Group, GroupEvent, Message } from '@groupcast/shared';
import {
  type Balancer,
  freePort,
  type PostgresServer,
  type RedisServer,
  type ServiceProcess,
  startApiProcess,
  startBalancer,
  startPostgres,
  startRedis,
  startRedisCluster,
  startRedisSentinel,
  startRelayProcess,
  tokenFor,
  until,
} from '@groupcast/testing';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';

const RELAYS = 3;
/** A steady load: this number of messages is under way at a time, each followed by the next. */
const WRITERS = 6;

let postgres: PostgresServer;
beforeAll(async () => {
  postgres = await startPostgres();
});
afterAll(async () => {
  await postgres?.stop();
});

/** Three relays and two APIs as processes, and their users. */
class Town {
  readonly relays: (ServiceProcess | undefined)[] = [];
  readonly apis: ServiceProcess[] = [];
  readonly clients: {
    userId: string;
    client: GroupcastClient;
    groups: Set<string>;
    shown: Map<string, GroupEvent[]>;
  }[] = [];
  readonly saved = new Map<string, Message[]>();
  readonly #balancers: Balancer[] = [];
  readonly #drained = new Set<number>();
  #ports: number[] = [];
  #env: Record<string, string> = {};
  #apiEnv: Record<string, string>[] = [];
  #stopWriting = false;
  #writers: Promise<void>[] = [];

  async open(redisUrl: string, size: { users: number; groups: number; membersEach: number }): Promise<void> {
    this.#ports = await Promise.all(Array.from({ length: RELAYS }, freePort));
    // Each balancer prefers another relay, and goes on to the next when that one is not there.
    for (let first = 0; first < RELAYS; first += 1) {
      this.#balancers.push(
        await startBalancer(() =>
          [...this.#ports.slice(first), ...this.#ports.slice(0, first)].filter((port) => !this.#drained.has(port)),
        ),
      );
    }
    const apiPorts = [await freePort(), await freePort()];
    const apiBalancer = await startBalancer(() => apiPorts);
    this.#balancers.push(apiBalancer);
    this.#env = {
      REDIS_URL: redisUrl,
      DATABASE_URL: await postgres.createDatabase(),
      API_URL: `http://127.0.0.1:${apiBalancer.port}`,
      SHUTDOWN_DRAIN_SECONDS: '2',
      NODE_LEASE_SECONDS: '10',
    };
    await Promise.all(this.#ports.map(async (_, index) => this.startRelay(index)));
    for (const [index, port] of apiPorts.entries()) {
      this.#apiEnv.push({ ...this.#env, API_PORT: String(port), RELAY_URL: this.#balancerUrl(index) });
      this.apis.push(await startApiProcess(this.#apiEnv[index] ?? {}));
    }
    await this.#settle(size);
  }

  async startRelay(index: number): Promise<void> {
    this.#drained.delete(this.#ports[index] ?? 0);
    this.relays[index] = await startRelayProcess({ ...this.#env, RELAY_PORT: String(this.#ports[index]) });
  }

  async drainRelay(index: number): Promise<number | NodeJS.Signals> {
    // A load balancer sees that it is unready.
    this.#drained.add(this.#ports[index] ?? 0);
    const relay = this.relays[index];
    relay?.signal('SIGTERM');
    return (await relay?.exited()) ?? 1;
  }

  async restartApi(index: number): Promise<void> {
    await this.apis[index]?.stop();
    this.apis[index] = await startApiProcess(this.#apiEnv[index] ?? {});
  }

  #balancerUrl(index: number): string {
    return `http://127.0.0.1:${this.#balancers[index % RELAYS]?.port}`;
  }

  async #post<T>(userId: string, path: string, body: object, attempt = 0): Promise<T> {
    const api = this.apis[attempt % this.apis.length];
    try {
      const response = await fetch(`${api?.url}/api/messaging/groups${path}`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', authorization: `Bearer ${await tokenFor(userId)}` },
        body: JSON.stringify(body),
        signal: AbortSignal.timeout(10_000),
      });
      if (response.status !== 201) throw new Error(`${response.status} ${await response.text()}`);
      return (await response.json()) as T;
    } catch (error) {
      if (attempt >= 200) throw error;
      await new Promise((resolve) => setTimeout(resolve, 50));
      return this.#post(userId, path, body, attempt + 1);
    }
  }

  async #settle({ users, groups, membersEach }: { users: number; groups: number; membersEach: number }): Promise<void> {
    const memberships = new Map<string, Set<string>>();
    for (let g = 0; g < groups; g += 1) {
      const memberIds = Array.from({ length: membersEach }, (_, n) => `u${(g * 7 + n * 3) % users}`);
      const { group } = await this.#post<{ group: Group }>(memberIds[0] ?? '', '', { memberIds });
      this.saved.set(group.id, []);
      memberships.set(group.id, new Set(memberIds));
    }
    for (let n = 0; n < users; n += 1) {
      const userId = `u${n}`;
      const shown = new Map<string, GroupEvent[]>();
      const client = createClient({
        apiUrl: this.#env['API_URL'] ?? '',
        relayUrl: this.#balancerUrl(n),
        getToken: async () => tokenFor(userId),
        autoConnect: true,
        transports: n % 2 ? ['polling'] : ['websocket'],
        reconnectMinMs: 200,
        reconnectMaxMs: 1_000,
        logger: { debug: () => undefined, warn: () => undefined, error: console.error },
      });
      client.on('event', (event) => {
        if (event.event !== 'new-message') return;
        shown.set(event.groupId, [...(shown.get(event.groupId) ?? []), event]);
      });
      const mine = [...memberships].filter(([, members]) => members.has(userId)).map(([id]) => id);
      this.clients.push({ userId, client, groups: new Set(mine), shown });
    }
    await this.everybodyConnected();
  }

  async everybodyConnected(): Promise<void> {
    const isConnected = ({ client }: { client: GroupcastClient }): boolean =>
      client.connection.getSnapshot().state === 'connected';
    await until('everybody to be connected', () => this.clients.every(isConnected), 60_000);
  }

  startWriting(): void {
    const groupIds = [...this.saved.keys()];
    this.#stopWriting = false;
    this.#writers = Array.from({ length: WRITERS }, async (_, writer) => {
      for (let n = 0; !this.#stopWriting; n += 1) {
        const groupId = groupIds[(n * WRITERS + writer) % groupIds.length] ?? '';
        const author = this.clients.find(({ groups }) => groups.has(groupId))?.userId ?? '';
        const clientMessageId = `w${writer}-${n}`;
        const body = { content: clientMessageId, clientMessageId };
        const { message } = await this.#post<{ message: Message }>(author, `/${groupId}/messages`, body, writer % 2);
        this.saved.get(groupId)?.push(message);
      }
    });
  }

  get count(): number {
    return [...this.saved.values()].reduce((sum, messages) => sum + messages.length, 0);
  }

  /** Goes on writing until this number of messages more was saved. */
  async more(messages: number): Promise<void> {
    const goal = this.count + messages;
    await until(`${messages} more messages`, () => this.count >= goal, 60_000);
  }

  async stopWriting(): Promise<void> {
    this.#stopWriting = true;
    await Promise.all(this.#writers);
  }

  /** Every 201 is shown by every member exactly once, in order, and nobody is shown anything of a foreign group. */
  async expectAllShown(): Promise<string> {
    const expected = (client: (typeof this.clients)[number]): number =>
      [...client.groups].reduce((sum, id) => sum + (this.saved.get(id)?.length ?? 0), 0);
    const count = (client: (typeof this.clients)[number]): number =>
      [...client.shown.values()].reduce((sum, events) => sum + events.length, 0);
    await until('everything', () => this.clients.every((client) => count(client) >= expected(client)), 60_000).catch(
      () => undefined,
    );
    const problems: string[] = [];
    for (const { userId, groups, shown } of this.clients) {
      for (const groupId of groups) {
        const wanted = (this.saved.get(groupId) ?? []).toSorted((a, b) => a.seq - b.seq).map(({ id }) => id);
        const got = (shown.get(groupId) ?? []).map(({ id }) => id);
        if (got.join() === wanted.join()) continue;
        const lost = wanted.filter((id) => !got.includes(id)).length;
        problems.push(
          `${userId} in ${groupId}: ${got.length} of ${wanted.length}, ${lost} lost, ${got.length - new Set(got).size} twice`,
        );
      }
      for (const groupId of shown.keys()) if (!groups.has(groupId)) problems.push(`${userId} was shown ${groupId}`);
    }
    expect(problems).toEqual([]);
    const deliveries = this.clients.reduce((sum, client) => sum + count(client), 0);
    const stats = this.clients.map(({ client }) => client.stats());
    const total = (key: 'live' | 'recovered' | 'fetched' | 'missedFoundByPoll'): number =>
      stats.reduce((sum, one) => sum + one[key], 0);
    return `${this.count} messages saved, ${deliveries} shown by ${this.clients.length} clients: each once, in order (events live ${total('live')}, from the relays' log ${total('recovered')}, from the API ${total('fetched')}, of these by polling ${total('missedFoundByPoll')})`;
  }

  async close(): Promise<void> {
    this.#stopWriting = true;
    for (const { client } of this.clients) client.close();
    await Promise.all([...this.relays, ...this.apis].map(async (service) => service?.stop()));
    await Promise.all(this.#balancers.map(async (balancer) => balancer.close()));
  }
}

describe('three relays, two APIs, PostgreSQL', () => {
  const town = { current: new Town() };
  let stopBroker: (() => Promise<void>) | undefined;
  afterEach(async () => {
    await town.current.close();
    await stopBroker?.();
    stopBroker = undefined;
  });

  async function open(url: string, size: { users: number; groups: number; membersEach: number }): Promise<Town> {
    town.current = new Town();
    await town.current.open(url, size);
    town.current.startWriting();
    return town.current;
  }

  test('200 clients on both transports lose nothing while, in turn, everything fails', {
    timeout: 240_000,
  }, async () => {
    const redis = await startRedis();
    stopBroker = redis.stop;
    const here = await open(redis.url, { users: 200, groups: 20, membersEach: 20 });
    await here.more(50);

    await here.relays[0]?.stop();
    await here.more(40);
    await here.startRelay(0);

    // Without a file: it comes back empty.
    await redis.kill();
    await here.more(20);
    await redis.restart();
    await here.more(40);

    redis.pause();
    await here.more(20);
    redis.resume();
    await here.more(40);

    expect(await here.drainRelay(1)).toBe(0);
    await here.more(20);
    await here.startRelay(1);

    await here.apis[0]?.stop();
    await here.more(20);
    await here.restartApi(0);
    await here.more(40);

    await here.stopWriting();
    await here.everybodyConnected();
    console.log(await here.expectAllShown());
  });

  test('on a Redis Cluster of three nodes, with a slot that moves in the middle of the stream', {
    timeout: 180_000,
  }, async () => {
    const redis = await startRedisCluster();
    stopBroker = redis.stop;
    const here = await open(redis.url, { users: 40, groups: 8, membersEach: 10 });
    await here.more(60);
    for (const groupId of [...here.saved.keys()].slice(0, 3)) {
      redis.moveSlotOf(`gc:{${groupId}}`);
      await here.more(40);
    }
    await here.relays[2]?.stop();
    await here.more(40);
    await here.startRelay(2);
    await here.more(40);
    await here.stopWriting();
    await here.everybodyConnected();
    console.log(`on a cluster: ${await here.expectAllShown()}`);
  });

  test('through a failover that loses what Redis had acknowledged', { timeout: 180_000 }, async () => {
    const redis = await startRedisSentinel();
    stopBroker = redis.stop;
    const here = await open(redis.url, { users: 40, groups: 8, membersEach: 10 });
    await here.more(60);
    redis.cutReplication();
    await here.more(40);
    const [groupId = ''] = here.saved.keys();
    const head = (server: RedisServer): number => Number(server.ask('hget', `gc:{${groupId}}:state`, 'h'));
    await until('an event that only the master has', () => head(redis.replica) < head(redis.master));
    await redis.master.kill();
    await redis.tookOver();
    await here.more(80);
    await here.stopWriting();
    await here.everybodyConnected();
    console.log(`after a failover: ${await here.expectAllShown()}`);
  });
});
