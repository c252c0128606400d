import type { GroupEvent, JoinGroupResult, Message, Position, ResumeResult } from '@groupcast/shared';
import { type ServiceProcess, type System, startRelayProcess, startSystem, tokenFor, until } from '@groupcast/testing';
import { io, type Socket } from 'socket.io-client';
import { afterAll, beforeAll, expect, test } from 'vitest';

const CLIENTS = 1_000;
const GROUPS = 20;
const MESSAGES_EACH = 5;

/** A client that keeps its connection token and its positions, as the SDK does. */
interface Returning {
  socket: Socket;
  positions: Record<string, Position>;
  shown: Map<string, number[]>;
  /** Groups that could not be recovered, and would be read from the API. */
  unrecovered: number;
}

let system: System;
let spare: ServiceProcess;
const groupIds: string[] = [];
const clients: Returning[] = [];

async function request<T>(user: string, method: string, path: string, body?: unknown): Promise<T> {
  const response = await fetch(`${system.apiUrl}${path}`, {
    method,
    headers: { 'content-type': 'application/json', authorization: `Bearer ${await tokenFor(user)}` },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  if (!response.ok) throw new Error(`${path} answered ${response.status}`);
  return (await response.json()) as T;
}

async function queries(): Promise<number> {
  const metrics = await (await fetch(`${system.apiInternalUrl}/metrics`)).text();
  return Number(/groupcast_api_database_queries (\d+)/.exec(metrics)?.[1]);
}

function startClient(token: string): Returning {
  const client: Returning = {
    positions: {},
    shown: new Map(),
    unrecovered: 0,
    socket: io(system.relayUrl, {
      forceNew: true,
      transports: ['websocket'],
      reconnectionDelay: 200,
      reconnectionDelayMax: 1_500,
      auth: (give) => give({ token, positions: client.positions }),
    }),
  };
  const apply = (event: GroupEvent): void => {
    client.positions[event.groupId] = { epoch: event.epoch, seq: event.seq };
    const seqs = client.shown.get(event.groupId) ?? [];
    client.shown.set(event.groupId, seqs);
    seqs.push(event.seq);
  };
  client.socket.on('joined-groups', ({ groups }: { groups: { groupId: string; position: Position | null }[] }) => {
    for (const { groupId, position } of groups) {
      if (position && !client.positions[groupId]) client.positions[groupId] = position;
    }
  });
  client.socket.on('resumed', ({ groups }: ResumeResult) => {
    for (const answer of Object.values(groups)) {
      const { recovered, events } = answer as JoinGroupResult;
      if (!recovered) client.unrecovered += 1;
      for (const event of events ?? []) apply(event);
    }
  });
  client.socket.on('new-message', apply);
  return client;
}

/** One message to each group, `times` times. */
async function say(times: number): Promise<void> {
  for (let n = 0; n < times; n += 1) {
    await Promise.all(
      groupIds.map(async (id) =>
        request<{ message: Message }>('author', 'POST', `/api/messaging/groups/${id}/messages`, { content: `m${n}` }),
      ),
    );
  }
}

async function everybodyAtTheHead(seq: number): Promise<void> {
  await until(
    `everybody at ${seq}`,
    () => clients.every(({ positions }) => Object.values(positions).every((position) => position.seq === seq)),
    60_000,
  );
}

beforeAll(async () => {
  system = await startSystem({ LOG_LEVEL: 'info', SHUTDOWN_DRAIN_SECONDS: '1' });
  const users = Array.from({ length: CLIENTS }, (_, n) => `u${n}`);
  for (let g = 0; g < GROUPS; g += 1) {
    // Everybody is in the first group, and in one of the others.
    const memberIds = g === 0 ? users : users.filter((_, n) => 1 + (n % (GROUPS - 1)) === g);
    const body = await request<{ group: { id: string } }>('author', 'POST', '/api/messaging/groups', { memberIds });
    groupIds.push(body.group.id);
  }
  await say(1);
  for (const user of users) {
    const { token } = await request<{ token: string }>(user, 'POST', '/api/realtime/token');
    clients.push(startClient(token));
  }
  await until(
    'everybody in two groups',
    () => clients.every(({ positions }) => Object.keys(positions).length === 2),
    60_000,
  );
}, 120_000);
afterAll(async () => {
  for (const { socket } of clients) socket.close();
  await spare?.stop();
  await system?.stop();
});

test('1,000 clients that were cut off are all at the head again, from the relay’s own log', async () => {
  for (const { socket } of clients) socket.io.engine.close();
  await until('all of them away', () => clients.every(({ socket }) => !socket.connected));
  const before = await queries();
  await until('all of them back', () => clients.every(({ socket }) => socket.connected), 60_000);
  const spent = (await queries()) - before;
  await say(MESSAGES_EACH);
  await everybodyAtTheHead(2 + MESSAGES_EACH);
  console.log(`warm log: ${CLIENTS} clients back, ${spent} database queries (the outbox's poll included)`);
  expect(spent).toBeLessThan(CLIENTS / 20);
}, 120_000);

test('… and after the relay was killed and started with an empty log, with next to no questions to the API (G18)', async () => {
  await system.relay.stop();
  await until('all of them away', () => clients.every(({ socket }) => !socket.connected));
  const before = await queries();
  spare = await startRelayProcess(system.env);
  await until('all of them back', () => clients.every(({ socket }) => socket.connected), 60_000);
  await until('everybody in two groups', async () => {
    const metrics = await (await fetch(`${system.relayInternalUrl}/metrics`)).text();
    return /groupcast_relay_connections\{type="user"\} 1000/.test(metrics);
  });
  const spent = (await queries()) - before;
  await say(MESSAGES_EACH);
  await everybodyAtTheHead(2 + 2 * MESSAGES_EACH);
  const unrecovered = clients.reduce((sum, client) => sum + client.unrecovered, 0);
  console.log(
    `cold log: ${CLIENTS} clients back, ${spent} database queries (the outbox's poll included), ${unrecovered} groups not recovered`,
  );
  expect(spent).toBeLessThan(CLIENTS / 20);
  expect(unrecovered).toBe(0);
  for (const { shown } of clients) {
    for (const seqs of shown.values()) expect(seqs).toEqual(seqs.map((_, index) => (seqs[0] ?? 0) + index));
  }
}, 120_000);
