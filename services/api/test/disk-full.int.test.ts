import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  type PostgresServer,
  type ServiceProcess,
  startApiProcess,
  startPostgres,
  tokenFor,
  until,
} from '@groupcast/testing';
import { pino } from 'pino';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { openPostgresDatabase } from '../src/db/postgres-database.ts';
import { watchDatabase } from '../src/db/watched-database.ts';

const MIB = 1024 * 1024;
const UNAVAILABLE = { status: 503, code: 'API_UNAVAILABLE' };
const SENDS = 40;

function canMount(): boolean {
  const folder = mkdtempSync(join(tmpdir(), 'groupcast-mount-'));
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'groupcast-test', folder], { stdio: 'ignore' });
    execFileSync('umount', [folder]);
    return true;
  } catch {
    return false;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

describe('the embedded database without room to write', () => {
  let dataDir: string;
  let isMounted: boolean;
  let api: ServiceProcess;
  let groupPath: string;
  beforeEach(() => {
    dataDir = mkdtempSync(join(tmpdir(), 'groupcast-disk-'));
    isMounted = false;
  });
  afterEach(async () => {
    await api.stop();
    if (isMounted) execFileSync('umount', [dataDir]);
    rmSync(dataDir, { recursive: true, force: true });
  });

  interface AnswerBody {
    error?: { code: string };
    group?: { id: string };
    messages?: { content: string }[];
  }
  async function request(method: string, path: string, body?: object): Promise<{ status: number; body: AnswerBody }> {
    const response = await fetch(`${api.url}${path}`, {
      method,
      headers: {
        authorization: `Bearer ${await tokenFor('alice')}`,
        ...(body ? { 'content-type': 'application/json' } : {}),
      },
      ...(body ? { body: JSON.stringify(body) } : {}),
    });
    return { status: response.status, body: (await response.json()) as AnswerBody };
  }
  async function start(): Promise<void> {
    api = await startApiProcess({ DATA_DIR: dataDir, RELAY_URL: 'http://127.0.0.1:9' });
    const { body } = await request('POST', '/api/messaging/groups', { memberIds: [] });
    groupPath = `/api/messaging/groups/${body.group?.id}`;
  }
  const send = async (content: string) => request('POST', `${groupPath}/messages`, { content });
  const failing = async () => (await (await fetch(`${api.url}/readyz`)).json()) as { failing?: string[] };
  const linesOfDatabase = (): { level: number; msg: string }[] =>
    api
      .output()
      .split('\n')
      .filter((line) => line.startsWith('{') && /database (?:cannot|can) write|request failed/.test(line))
      .map((line) => JSON.parse(line) as { level: number; msg: string });

  /** Everybody is told the same, the log says it once, the process lives, and all is well as soon as `makeRoom` was called. */
  async function expectToHeal(makeRoom: () => void): Promise<void> {
    expect((await send('before')).status).toBe(503);
    const answers = await Promise.all(Array.from({ length: SENDS }, async () => send('meanwhile')));
    expect(answers.map(({ status, body }) => ({ status, code: body.error?.code }))).toEqual(
      answers.map(() => UNAVAILABLE),
    );
    expect(await failing()).toEqual({ status: 'unready', failing: ['database'] });
    expect((await fetch(`${api.url}/livez`)).status).toBe(200);
    expect(linesOfDatabase().map(({ level }) => level)).toEqual([50]);

    makeRoom();
    await until('the API to be ready', async () => (await fetch(`${api.url}/readyz`)).status === 200, 20_000);
    expect((await send('after')).status).toBe(201);
    expect(linesOfDatabase().map(({ msg }) => msg)).toEqual([
      'the database cannot write (is its disk full?): requests are refused until it is back',
      'the database can write again',
    ]);
  }
  async function contents(): Promise<string[]> {
    const { body } = await request('GET', `${groupPath}/messages`);
    return (body.messages ?? []).map(({ content }) => content);
  }

  test.skipIf(!canMount())('on a disk that is nearly full goes on reading, refuses to write, and heals', async () => {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=160m', 'groupcast-test', dataDir]);
    isMounted = true;
    await start();
    expect((await send('kept')).status).toBe(201);
    const { bavail, bsize } = statfsSync(dataDir);
    const ballast = join(dataDir, 'ballast');
    writeFileSync(ballast, Buffer.alloc(bavail * bsize - 10 * MIB));
    expect((await send('refused')).status).toBe(503);
    expect(await contents()).toEqual(['kept']);
    await expectToHeal(() => rmSync(ballast));
    expect(await contents()).toEqual(['kept', 'after']);
  });

  test('whose log cannot be written any more is opened again in the same process, with all that was answered (G46)', async () => {
    await start();
    const limit = (bytes: number | 'unlimited'): void => {
      execFileSync('prlimit', ['--pid', String(api.child.pid), `--fsize=${bytes}:unlimited`]);
    };
    expect((await send('kept')).status).toBe(201);
    // No file may be written above this, and PostgreSQL's own log is in such a file.
    limit(4_096);
    await expectToHeal(() => limit('unlimited'));
    const found = await contents();
    expect(found.filter((content) => ['kept', 'after'].includes(content))).toEqual(['kept', 'after']);
  });
});

describe('PostgreSQL', () => {
  let postgres: PostgresServer;
  beforeAll(async () => {
    postgres = await startPostgres();
  });
  afterAll(async () => {
    await postgres.stop();
  });

  test.each([
    '53100',
    '53200',
    '57014',
    '57P03',
    '58030',
    'XX001',
    'F0000',
    '25006',
    '25P03',
    '28P01',
    '40001',
    '40P01',
    '55P03',
  ])('that fails with %s is API_UNAVAILABLE, and worth another try', async (code) => {
    const db = watchDatabase(
      openPostgresDatabase(await postgres.createDatabase(), pino({ level: 'silent' })),
      pino({ level: 'silent' }),
    );
    try {
      const failing = db.query(`do $$ begin raise exception 'no' using errcode = '${code}'; end $$`);
      await expect(failing).rejects.toMatchObject({ code: 'API_UNAVAILABLE', retryable: true });
    } finally {
      await db.close();
    }
  });

  /** A database of its own, and what the log says of it. */
  async function openWatched() {
    const lines: { level: number; msg: string }[] = [];
    const log = pino({ level: 'info' }, { write: (line: string) => lines.push(JSON.parse(line)) });
    const db = watchDatabase(openPostgresDatabase(await postgres.createDatabase(), log), log);
    return { db, said: () => lines.map(({ level, msg }) => [level, msg]), lines };
  }
  const UNREADY = { code: 'API_UNAVAILABLE', retryable: true };

  test('that could not write is not ready until it can, although it answers (G46)', async () => {
    const { db, said } = await openWatched();
    const failing = (code: string) => db.query(`do $$ begin raise exception 'no' using errcode = '${code}'; end $$`);
    try {
      await db.check();
      for (let i = 0; i < 3; i += 1) await expect(failing('53100')).rejects.toMatchObject(UNREADY);
      await db.query(`create function refuse() returns event_trigger language plpgsql as
        $$ begin raise exception 'no' using errcode = '53100'; end $$`);
      await db.query(
        `create event trigger full_disk on ddl_command_start when tag in ('CREATE TABLE AS') execute function refuse()`,
      );
      expect((await db.query('select 1 as one')).rows).toEqual([{ one: 1 }]);
      await expect(db.check()).rejects.toMatchObject(UNREADY);
      await db.query('drop event trigger full_disk');
      await db.check();
      expect(said()).toEqual([
        [50, 'the database cannot write (is its disk full?): requests are refused until it is back'],
        [30, 'the database can write again'],
      ]);
    } finally {
      await db.close();
    }
  });

  test('that has become a standby is not ready before anybody writes, reads on, and is ready when it is a primary again (G61)', async () => {
    const { db, said } = await openWatched();
    try {
      await db.query('create table t (id int)');
      await postgres.demote();
      await until('the standby to answer', async () => db.query('select count(*) from t').catch(() => undefined));
      await expect(db.check()).rejects.toMatchObject(UNREADY);
      await expect(db.query('insert into t values (1)')).rejects.toMatchObject(UNREADY);
      const writing = db.transaction(async (tx) => tx.query('insert into t values ($1)', [2]));
      await expect(writing).rejects.toMatchObject(UNREADY);
      expect((await db.query('select * from t')).rows).toEqual([]);
      await postgres.promote();
      await until('the database to be ready', async () => db.check().then(() => true));
      await db.query('insert into t values (3)');
      expect(said().filter(([, msg]) => /writes?\b/.test(String(msg)))).toEqual([
        [50, 'the database takes no writes: requests are refused until it does'],
        [30, 'the database can write again'],
      ]);
    } finally {
      await db.close();
    }
  });

  test('that somebody makes read-only is not ready on connections that stay, and is when it writes again', async () => {
    const { db, said } = await openWatched();
    const admin = openPostgresDatabase(postgres.url, pino({ level: 'silent' }));
    const setReadOnly = async (value: string): Promise<void> => {
      await admin.query(`alter system set default_transaction_read_only = ${value}`);
      await admin.query('select pg_reload_conf()');
    };
    const fails = (work: () => Promise<unknown>) =>
      work().then(
        () => false,
        ({ code }) => code === UNREADY.code,
      );
    try {
      await db.query('create table t (id int)');
      await db.check();
      await setReadOnly('on');
      await until('the database to be unready', () => fails(() => db.check()));
      await expect(db.query('insert into t values (1)')).rejects.toMatchObject(UNREADY);
      await expect(db.check()).rejects.toMatchObject(UNREADY);
      await admin.query('set default_transaction_read_only = off');
      await setReadOnly('off');
      await until('the database to be ready', async () => db.check().then(() => true));
      await db.query('insert into t values (2)');
      expect(said()).toEqual([
        [50, 'the database takes no writes: requests are refused until it does'],
        [30, 'the database can write again'],
      ]);
    } finally {
      await db.close();
      await admin.close();
    }
  });

  test('whose connection leads to a server that only reads by now is asked on a new one', async () => {
    const { db } = await openWatched();
    const write = async (id: number) => db.transaction(async (tx) => tx.query('insert into t values ($1)', [id]));
    try {
      await db.query('create table t (id int)');
      // As after a failover of which a connection has heard nothing.
      await db.query('set session characteristics as transaction read only');
      await expect(write(1)).rejects.toMatchObject(UNREADY);
      expect((await write(2)).count).toBe(1);
    } finally {
      await db.close();
    }
  });

  test('that is gone is said in one line without a stack, and so is that it is back', async () => {
    const { db, said, lines } = await openWatched();
    try {
      await db.check();
      await postgres.stopServer();
      for (let i = 0; i < 5; i += 1) await expect(db.query('select 1')).rejects.toMatchObject(UNREADY);
      await postgres.startServer();
      await until('an answer', async () => db.query('select 1'));
      await db.query('select 1');
      expect(said().filter(([level, msg]) => level !== 40 || !String(msg).includes('idle'))).toEqual([
        [50, 'the database cannot be reached: requests are refused until it is back'],
        [30, 'the database answers again'],
      ]);
      expect(lines.filter((line) => 'err' in line)).toEqual([]);
      expect(lines.find(({ level }) => level === 50)).toMatchObject({
        reason: expect.any(String),
        code: expect.any(String),
      });
    } finally {
      await db.close();
    }
  });

  test.each(['42501', '42P01', '42703'])(
    'that refuses a statement with %s says so once a minute, and no request is logged with a stack',
    async (code) => {
      const { db, said } = await openWatched();
      try {
        for (let i = 0; i < 3; i += 1) {
          const failing = db.query(`do $$ begin raise exception 'secret' using errcode = '${code}'; end $$`);
          await expect(failing).rejects.toMatchObject({
            code: 'INTERNAL',
            message: expect.not.stringContaining('secret'),
          });
        }
        expect(said()).toEqual([[50, 'the database refuses a statement']]);
      } finally {
        await db.close();
      }
    },
  );
});
