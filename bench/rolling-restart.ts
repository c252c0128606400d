import { createBroadcaster } from '@groupcast/broadcaster';
import type { GroupEvent, Position, ResumeResult } from '@groupcast/shared';
import {
  freePort,
  type ServiceProcess,
  startBalancer,
  startRedis,
  startRelayProcess,
  TEST_SECRETS,
  tokenFor,
} from '@groupcast/testing';
import { io, type Socket } from 'socket.io-client';

const RELAYS = 3;
const CLIENTS = 2_000;
const GROUPS = 40;
const MESSAGES_PER_SECOND = 40;
const DRAIN_SECONDS = 8;
const EPOCH = '1-a';

/** A stock client that keeps its positions, as the guide for front-end engineers describes it. */
interface Client {
  socket: Socket;
  groupId: string;
  seqs: number[];
  twice: number;
}

async function pause(ms: number): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, ms));
}

/** Three relays restarted one after the other under load: losses of 2,000 clients, and how fast they came back. */
export async function rollingRestart(): Promise<void> {
  const redis = await startRedis();
  const ports = await Promise.all(Array.from({ length: RELAYS }, freePort));
  const away = new Set<number>();
  const startRelay = async (index: number): Promise<ServiceProcess> =>
    startRelayProcess({
      REDIS_URL: redis.url,
      RELAY_PORT: String(ports[index]),
      SHUTDOWN_DRAIN_SECONDS: String(DRAIN_SECONDS),

      NODE_ENV: 'production',
      SOCKET_CORS_ORIGIN: '*',
    });
  const relays = await Promise.all(ports.map(async (_, index) => startRelay(index)));
  const balancers = await Promise.all(
    ports.map(async (_, first) =>
      startBalancer(() => [...ports.slice(first), ...ports.slice(0, first)].filter((port) => !away.has(port))),
    ),
  );

  const reconnects: number[] = [];
  const clients: Client[] = [];
  for (let n = 0; n < CLIENTS; n += 1) {
    const groupId = `g${n % GROUPS}`;
    const token = await tokenFor(`u${n}`, [groupId]);
    const positions: Record<string, Position> = {};
    const socket = io(`http://127.0.0.1:${balancers[n % RELAYS]?.port}`, {
      transports: ['websocket'],
      forceNew: true,
      autoConnect: false,
      reconnectionDelay: 100,
      reconnectionDelayMax: 1_000,
      auth: (give) => give({ token, positions }),
    });
    const client: Client = { socket, groupId, seqs: [], twice: 0 };
    const show = (event: GroupEvent): void => {
      if (event.seq <= (positions[groupId]?.seq ?? 0)) client.twice += 1;
      positions[groupId] = { epoch: event.epoch, seq: event.seq };
      client.seqs.push(event.seq);
    };
    socket.on('new-message', show);
    socket.on('joined-groups', ({ groups }: { groups: { groupId: string; position: Position | null }[] }) => {
      const position = groups.find((group) => group.groupId === groupId)?.position;
      if (position && !positions[groupId]) positions[groupId] = position;
    });
    socket.on('resumed', ({ groups }: ResumeResult) => {
      const answer = groups[groupId];
      if (answer && 'events' in answer) answer.events.forEach(show);
    });
    // A stock client stays away after a refusal; an application comes back.
    socket.on('connect_error', () => {
      if (!socket.active) setTimeout(() => socket.connect(), 100);
    });
    socket.io.on('reconnect', () => reconnects.push(performance.now()));
    clients.push(client);
    socket.connect();
    if (n % 100 === 99) await pause(50);
  }
  const connected = (): number => clients.filter(({ socket }) => socket.connected).length;
  while (connected() < CLIENTS) await pause(50);
  await pause(1_000);

  const heads = new Map<string, number>();
  const stopping = new AbortController();
  const senders = balancers.map(({ port }) =>
    createBroadcaster({
      url: `http://127.0.0.1:${port}`,
      serviceSecret: TEST_SECRETS.RELAY_SERVICE_SECRET,
      timeoutMs: 30_000,
    }),
  );
  /** As an outbox does: the groups in parallel, each in order, each event again until it was accepted. */
  const writers = Array.from({ length: GROUPS }, async (_, g) => {
    for (let seq = 1; !stopping.signal.aborted; seq += 1) {
      for (let accepted = false; !accepted; ) {
        accepted = await senders[(g + seq) % RELAYS]!.broadcastMessage({
          groupId: `g${g}`,
          epoch: EPOCH,
          seq,
          id: `g${g}-${seq}`,
          message: { content: `message ${seq}` },
        }).then(
          () => true,
          async () => {
            await pause(100);
            return false;
          },
        );
      }
      heads.set(`g${g}`, seq);
      await pause((GROUPS / MESSAGES_PER_SECOND) * 1_000 * (0.5 + Math.random()));
    }
  });
  await pause(3_000);

  console.log(
    `${CLIENTS} clients on ${RELAYS} relays, ${GROUPS} groups, ${MESSAGES_PER_SECOND} messages/s, drained over ${DRAIN_SECONDS} s each\n`,
  );
  console.log('| relay | connections moved | even spread, reconnects/s | measured: each second | highest second |');
  console.log('|---|---|---|---|---|');
  for (const [index, port] of ports.entries()) {
    const before = clients.length;
    const startedAt = performance.now();
    const from = reconnects.length;
    away.add(port);
    relays[index]?.signal('SIGTERM');
    const code = await relays[index]?.exited();
    while (connected() < before) await pause(20);
    const seconds = new Map<number, number>();
    for (const at of reconnects.slice(from)) {
      const second = Math.floor((at - startedAt) / 1_000);
      seconds.set(second, (seconds.get(second) ?? 0) + 1);
    }
    const rates = Array.from({ length: Math.max(...seconds.keys()) + 1 }, (_, second) => seconds.get(second) ?? 0);
    const moved = reconnects.length - from;
    console.log(
      `| ${index + 1} (exit ${code}) | ${moved} | ${(moved / DRAIN_SECONDS).toFixed(0)} | ${rates.join(' ')} | ${Math.max(...rates)} |`,
    );
    relays[index] = await startRelay(index);
    away.delete(port);
    await pause(1_000);
  }

  stopping.abort();
  await Promise.all(writers);
  const isComplete = ({ groupId, seqs }: Client): boolean => (seqs.at(-1) ?? 0) === (heads.get(groupId) ?? 0);
  for (let waited = 0; !clients.every(isComplete) && waited < 30_000; waited += 100) await pause(100);
  let lost = 0;
  let twice = 0;
  let shown = 0;
  for (const { groupId, seqs, twice: again } of clients) {
    shown += seqs.length;
    twice += again;
    lost += (heads.get(groupId) ?? 0) - new Set(seqs).size;
  }
  const saved = [...heads.values()].reduce((sum, head) => sum + head, 0);
  console.log(`\n${saved} messages, ${shown} shown; lost ${lost}, shown twice ${twice}`);

  for (const sender of senders) await sender.close();
  for (const { socket } of clients) socket.close();
  await Promise.all(relays.map(async (relay) => relay.stop()));
  await Promise.all(balancers.map(async (balancer) => balancer.close()));
  await redis.stop();
  if (lost + twice > 0) process.exitCode = 1;
}
