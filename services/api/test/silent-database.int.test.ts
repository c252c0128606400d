import { type AddressInfo, createServer } from 'node:net';
import { StartFailure } from '@groupcast/service-kit';
import { hear, type PostgresServer, startPostgres, startTcpProxy, type TcpProxy, until } from '@groupcast/testing';
import { pino } from 'pino';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { Database } from '../src/db/database.ts';
import { migrate } from '../src/db/migrate.ts';
import { openPostgresDatabase } from '../src/db/postgres-database.ts';
import type { GroupDeps } from '../src/groups/group-changes.ts';
import { createGroup } from '../src/groups/group-service.ts';
import { type MessageDeps, sendMessage } from '../src/messages/message-service.ts';
import { createApiMetrics } from '../src/metrics.ts';
import { createDispatcher, type Dispatcher } from '../src/outbox/dispatcher.ts';
import { createOutboxStore } from '../src/outbox/outbox-store.ts';
import type { RelayClient } from '../src/outbox/relay-client.ts';
import { startApiUnderTest } from './api-harness.ts';
import { groupDeps } from './group-deps.ts';

const log = pino({ level: 'silent' });
const UNAVAILABLE = { status: 'rejected', reason: { code: 'API_UNAVAILABLE', retryable: true } };
const LEASE_MS = 1_000;
const TIMES = { connectMs: 3_000, statementMs: 700, answerMs: 200, checkMs: 200 };
/** More than the pool has connections. */
const MANY = 15;

let postgres: PostgresServer;
let wire: TcpProxy;
let direct: Database;
let db: Database;
beforeAll(async () => {
  postgres = await startPostgres();
});
afterAll(async () => {
  await postgres.stop();
});
beforeEach(async () => {
  const url = await postgres.createDatabase();
  wire = await startTcpProxy(Number(new URL(url).port));
  const wired = new URL(url);
  wired.port = String(wire.port);
  direct = openPostgresDatabase(url, log);
  db = openPostgresDatabase(wired.href, log, { times: TIMES });
});
afterEach(async () => {
  await db.close();
  await direct.close();
  await wire.close();
});

/** Every connection of the pool is open, and idle. */
const warmUp = async () => Promise.all(Array.from({ length: MANY }, async () => db.query('select pg_sleep(0.05)')));
const settle = async (work: () => Promise<unknown>) => Promise.allSettled(Array.from({ length: MANY }, work));

describe('on connections that have gone silent', () => {
  test.each([
    ['statements', async () => db.query('select $1::int as one', [1])],
    ['transactions', async () => db.transaction(async (tx) => tx.query('select 1 as one'))],
  ])('%s fail, and those that come after them are answered on new connections (G59)', async (_what, work) => {
    await warmUp();
    wire.forget();
    // More than there are connections: a query that waits for one may get a new one.
    const refused = (await settle(work)).filter(({ status }) => status === 'rejected');
    expect(refused.length).toBeGreaterThan(0);
    for (const result of refused) expect(result).toMatchObject(UNAVAILABLE);
    for (const result of await settle(work)) expect(result).toMatchObject({ status: 'fulfilled' });
  });

  test('one that was not answered costs nobody else an attempt: the others are replaced unasked', async () => {
    await warmUp();
    wire.forget();
    await expect(db.query('select 1')).rejects.toMatchObject(UNAVAILABLE.reason);
    for (let n = 0; n < MANY; n += 1) expect((await db.query('select 1')).count).toBe(1);
  });

  test('a statement under way in a transaction is given up by PostgreSQL too', async () => {
    await db.script('create table t (id int primary key); insert into t values (1)');
    await expect(
      db.transaction(async (tx) => {
        await tx.query('select 1 from t for update');
        wire.forget();
        await tx.query('select 2');
      }),
    ).rejects.toMatchObject(UNAVAILABLE.reason);
    expect((await db.query('update t set id = 2')).count).toBe(1);
  });

  test('notifications are heard again, on another one', async () => {
    const heard = await hear(db, 'channel');
    wire.forget();
    await until('another connection', () => heard.resets() === 2);
    await direct.notify('channel', ['hello']);
    await until('the notification', () => heard.payloads.includes('hello'));
    await heard.stop();
  });

  test('nobody waits for a goodbye', async () => {
    const stop = await db.listen(
      'channel',
      () => undefined,
      () => undefined,
    );
    await warmUp();
    wire.forget();
    await stop();
    await db.close();
    db = openPostgresDatabase(postgres.url, log);
  });
});

describe('the dispatcher', () => {
  let deps: GroupDeps & MessageDeps & { dispatcher: Dispatcher };
  const relay: RelayClient = {
    connected: true,
    async send(lease, events) {
      return { acceptedSeq: events.at(-1)?.seq ?? lease.dispatchedSeq };
    },
  };
  beforeEach(async () => {
    await migrate(direct);
    const store = createOutboxStore(db, { owner: 'test', leaseMs: LEASE_MS });
    const metrics = createApiMetrics(() => store.backlog());
    const options = { leaseMs: LEASE_MS, pollMs: 100, writeMs: 50, concurrency: 4 };
    const dispatcher = createDispatcher({ store, relay, metrics, log }, options);
    await dispatcher.start();
    deps = groupDeps(direct, dispatcher);
  });
  afterEach(async () => {
    await deps.dispatcher.stop();
  });
  const createRoom = async () => (await createGroup(deps, { userId: 'alice', kind: 'group', memberIds: [] })).group.id;
  const say = async (groupId: string) => sendMessage(deps, { groupId, userId: 'alice', content: 'hello' });
  const dispatched = async (groupId: string, seq: number) =>
    until('the event to be dispatched', async () => {
      const { rows } = await direct.query('select 1 from outbox where group_id = $1 and dispatched_seq = $2', [
        groupId,
        seq,
      ]);
      return rows.length === 1;
    });

  test('goes on when its connections have gone silent, in more groups than it works on at once (G59)', async () => {
    const rooms = await Promise.all(Array.from({ length: 8 }, createRoom));
    for (const room of rooms) await dispatched(room, 1);
    await warmUp();
    wire.forget();
    await Promise.all(rooms.map(say));
    for (const room of rooms) await dispatched(room, 2);
  });
});

describe('an API whose database is silent', () => {
  test('is alive and can be measured, is not ready, and heals by itself', async () => {
    const wired = new URL(await postgres.createDatabase());
    wired.port = String(wire.port);
    const api = await startApiUnderTest({ DATABASE_URL: wired.href, API_CONCURRENCY_PER_USER: String(MANY) });
    try {
      const { body } = await api.request<{ group: { id: string } }>('alice', 'POST', '/api/messaging/groups', {});
      const path = `/api/messaging/groups/${body.group.id}/messages`;
      const send = async () => (await api.request('alice', 'POST', path, { content: 'hello' })).status;
      const ask = async (probe: string) => (await fetch(`${api.internalUrl}${probe}`)).status;
      const read = async () => (await api.request('alice', 'GET', path)).status;
      // Reading opens every connection of the pool.
      expect(new Set(await Promise.all(Array.from({ length: MANY }, read)))).toEqual(new Set([200]));
      expect(await Promise.all(Array.from({ length: MANY }, send))).toEqual(Array.from({ length: MANY }, () => 201));
      wire.forget();
      const answers = Promise.all(Array.from({ length: MANY }, send));
      expect(await ask('/livez')).toBe(200);
      expect(await Promise.all([ask('/readyz'), ask('/metrics')])).toEqual([503, 200]);
      // Those in work are refused, and those that have waited for their turn meanwhile are served.
      expect(new Set(await answers)).toEqual(new Set([503, 201]));
      await until('the API to be ready', async () => (await ask('/readyz')) === 200);
      expect(await send()).toBe(201);
    } finally {
      await api.close();
    }
  });
});

test.each([
  ['a server that is not there', () => 'postgres://postgres@127.0.0.1:9/none', 'ECONNREFUSED'],
  ['a database that does not exist', () => new URL('/none', postgres.url).href, '3D000'],
])('an API with %s does not start, and says why in one line', async (_what, url, code) => {
  const failure = await startApiUnderTest({ DATABASE_URL: url() }).catch((error: unknown) => error);
  expect(failure).toBeInstanceOf(StartFailure);
  expect(failure).toMatchObject({
    message: expect.stringMatching(new RegExp(`^[^\n]+\\(${code}; check DATABASE_URL\\)$`)),
  });
});

/** A message of PostgreSQL's protocol. */
function packet(type: string, body: Buffer): Buffer {
  const head = Buffer.alloc(5);
  head.write(type, 0, 'latin1');
  head.writeInt32BE(body.length + 4, 1);
  return Buffer.concat([head, body]);
}

test('a server that ends a connection together with its greeting ends no process', async () => {
  const greeting = Buffer.concat([
    packet('R', Buffer.alloc(4)),
    packet('K', Buffer.alloc(8)),
    packet('Z', Buffer.from('I')),
    packet('E', Buffer.from('SFATAL\0C57P01\0Mterminating connection due to administrator command\0\0')),
  ]);
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.once('data', () => socket.end(greeting));
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  const { port } = server.address() as AddressInfo;
  const away = openPostgresDatabase(`postgres://nobody@127.0.0.1:${port}/none`, log);
  for (let n = 0; n < 3; n += 1) {
    await expect(away.query('select 1')).rejects.toMatchObject({ code: 'API_UNAVAILABLE', retryable: true });
    await expect(away.transaction(async (tx) => tx.query('select 1'))).rejects.toMatchObject({
      code: 'API_UNAVAILABLE',
    });
  }
  await away.close();
  await new Promise((resolve) => {
    server.close(resolve);
  });
});
