import {
  hear,
  type PgBouncer,
  type PostgresServer,
  received,
  startPgBouncer,
  startPostgres,
  startTcpProxy,
  until,
} from '@groupcast/testing';
import pg from 'pg';
import { pino } from 'pino';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Database } from '../src/db/database.ts';
import { migrate, missingMigrations } from '../src/db/migrate.ts';
import { openPostgresDatabase, type PostgresOptions } from '../src/db/postgres-database.ts';
import { createGroup } from '../src/groups/group-service.ts';
import { listMessages, sendMessage } from '../src/messages/message-service.ts';
import { groupDeps } from './group-deps.ts';

const silent = pino({ level: 'silent' });
const WAYS = ['directly', 'session', 'transaction'] as const;
type Way = (typeof WAYS)[number];

let postgres: PostgresServer;
const poolers = new Map<Way, PgBouncer>();
let databases: Database[] = [];
beforeAll(async () => {
  postgres = await startPostgres();
  for (const mode of ['session', 'transaction'] as const) poolers.set(mode, await startPgBouncer(postgres.url, mode));
});
afterAll(async () => {
  for (const pooler of poolers.values()) await pooler.stop();
  await postgres.stop();
});

function open(way: Way, url: string, options?: PostgresOptions, log = silent): Database {
  const db = openPostgresDatabase(poolers.get(way)?.through(url) ?? url, log, options);
  databases.push(db);
  return db;
}
async function closeAll(): Promise<void> {
  for (const db of databases) await db.close();
  databases = [];
}

/** Settings that every session of a database begins with. */
async function inherit(url: string, settings: Readonly<Record<string, string>>): Promise<void> {
  const admin = openPostgresDatabase(postgres.url, silent);
  const name = new URL(url).pathname.slice(1);
  for (const [setting, value] of Object.entries(settings)) {
    await admin.query(`alter database "${name}" set ${setting} = '${value}'`);
  }
  await admin.close();
}

async function createRoom(db: Database) {
  await migrate(db);
  const dispatcher = { wake: () => undefined, whenDispatched: async () => true };
  const deps = groupDeps(db, dispatcher);
  const { group } = await createGroup(deps, { userId: 'alice', kind: 'group', memberIds: [] });
  const room = { groupId: group.id, userId: 'alice' };
  return {
    send: async (content: string) => sendMessage(deps, { ...room, content }),
    read: async () => (await listMessages(deps, { ...room, limit: 200 })).messages,
  };
}

describe.each(WAYS)('PostgreSQL, asked %s', (way) => {
  test('knows whether a pooler is in between, and which migrations it lacks', async () => {
    const db = open(way, await postgres.createDatabase());
    await migrate(db);
    expect(await db.isPooled?.()).toBe(poolers.has(way));
    expect(await missingMigrations(db)).toEqual([]);
    await db.query("delete from schema_migrations where name like '0011%'");
    expect(await missingMigrations(db)).toEqual([expect.stringMatching(/^0011/)]);
  });

  test.each([
    ['default_transaction_isolation', 'repeatable read'],
    ['default_transaction_isolation', 'serializable'],
    ['default_transaction_read_only', 'on'],
    ['datestyle', 'German'],
    ['timezone', 'Asia/Kolkata'],
    ['lock_timeout', '1ms'],
  ])('works the same where a session inherits %s = %s (G60)', async (setting, value) => {
    const url = await postgres.createDatabase();
    await inherit(url, { [setting]: value });
    const { send, read } = await createRoom(open(way, url));
    const texts = Array.from({ length: 60 }, (_, n) => `${n} “quoted” \\ 😀`);
    const sent = await Promise.all(texts.map(send));
    const seen = await read();
    const bySeq = sent.toSorted((a, b) => a.seq - b.seq);
    expect(seen).toEqual(bySeq);
    expect(new Set(seen.map(({ content }) => content))).toEqual(new Set(texts));
    await closeAll();
  });

  test('bounds what a statement may take, in a transaction too, whatever is inherited', async () => {
    const url = await postgres.createDatabase();
    await inherit(url, { statement_timeout: '1s', idle_in_transaction_session_timeout: '1s' });
    const db = open(way, url, { times: { statementMs: 1_500 } });
    const settings = `select current_setting('statement_timeout') as a, current_setting('idle_in_transaction_session_timeout') as b`;
    expect((await db.query(settings)).rows[0]).toMatchObject({ a: '1500ms' });
    expect((await db.transaction(async (tx) => tx.query(settings))).rows).toEqual([{ a: '1500ms', b: '1500ms' }]);
    await expect(db.query('select pg_sleep(20)')).rejects.toMatchObject({ code: 'API_UNAVAILABLE', retryable: true });
    await closeAll();
  });

  test('saves what sixty clients send at once, with more clients than connections', async () => {
    const url = await postgres.createDatabase();
    const { send, read } = await createRoom(open(way, url));
    const others = [open(way, url), open(way, url)];
    const reading = others.map(async (db) => {
      for (let n = 0; n < 30; n += 1) await db.query('select count(*) from messages where seq > $1', [n]);
    });
    const sent = await Promise.all(Array.from({ length: 60 }, async (_, n) => send(`m${n}`)));
    await Promise.all(reading);
    expect((await read()).map(({ id }) => id).toSorted()).toEqual(sent.map(({ id }) => id).toSorted());
    await closeAll();
  });
});

test('a connection that listens stays, where idle sessions are ended', async () => {
  const url = await postgres.createDatabase();
  await inherit(url, { idle_session_timeout: '100ms' });
  const db = open('directly', url);
  const heard = await hear(db, 'channel');
  const idle = new pg.Client({ connectionString: url });
  idle.on('error', () => undefined);
  await idle.connect();
  await received(idle, 'error');
  await db.notify('channel', ['hello']);
  await until('the notification', () => heard.payloads.includes('hello'));
  expect(heard.resets()).toBe(1);
  await heard.stop();
  await closeAll();
});

test('a session that a pooler was slow with once is listened on all the same', async () => {
  const url = new URL(poolers.get('session')?.through(await postgres.createDatabase()) ?? '');
  const wire = await startTcpProxy(Number(url.port));
  url.port = String(wire.port);
  const lines: string[] = [];
  const log = pino({ level: 'info' }, { write: (line: string) => void lines.push(JSON.parse(line).msg) });
  const db = open('directly', url.href, { times: { connectMs: 1_000, deafMs: 100 } }, log);
  await db.query('select 1');
  const heard = await hear(db, 'channel', (resets) => {
    if (resets > 1) return;
    // Longer than it may take to be heard, and shorter than an answer may take.
    wire.freeze();
    setTimeout(() => wire.thaw(), 1_500);
  });
  await until('a notification', async () => {
    await db.notify('channel', ['hello']).catch(() => undefined);
    return heard.payloads.includes('hello');
  });
  await heard.stop();
  await closeAll();
  await wire.close();
});

describe('a pooler that gives every transaction another session', () => {
  function logLines() {
    const lines: { msg: string }[] = [];
    return { lines, log: pino({ level: 'info' }, { write: (line: string) => lines.push(JSON.parse(line)) }) };
  }

  test('and keeps no prepared statements, although it should, costs no statement; the log says what to set (G60)', async () => {
    const url = await postgres.createDatabase();
    const { lines, log } = logLines();
    const db = open('transaction', url, { preparedStatements: true }, log);
    const statement = 'select $1::int + $2::int as sum';
    for (let round = 0; round < 5; round += 1) {
      const sums = await Promise.all(Array.from({ length: 20 }, async (_, n) => db.query(statement, [n, round])));
      expect(sums.map(({ rows }) => rows[0])).toEqual(Array.from({ length: 20 }, (_, n) => ({ sum: n + round })));
    }
    expect(lines.map(({ msg }) => msg)).toEqual([expect.stringContaining('DATABASE_PREPARED_STATEMENTS=0')]);
    await closeAll();
  });

  test.each([
    ['is found out, and the log says what to set', 'transaction', undefined],
    ['is passed by where there is a way to listen', 'transaction', 'directly'],
    ['does not matter where a session stays with its client', 'session', undefined],
  ] as const)('passes no notifications on, which %s', async (_what, way, listening) => {
    const url = await postgres.createDatabase();
    const { lines, log } = logLines();
    const times = { connectMs: 1_000, deafMs: 50 };
    const db = open(way, url, listening ? { listenUrl: url } : { times }, log);
    const heard = await hear(db, 'channel');
    if (way === 'transaction' && !listening) {
      await until('a word about it', () => lines.some(({ msg }) => msg.includes('DATABASE_LISTEN_URL')));
      // It is tried again, and said once.
      await until('another attempt', () => heard.resets() >= 3);
      expect(lines).toHaveLength(1);
    } else {
      await db.notify('channel', ['hello']);
      await until('the notification', () => heard.payloads.includes('hello'));
      expect(lines).toEqual([]);
    }
    await heard.stop();
    await closeAll();
  });
});
