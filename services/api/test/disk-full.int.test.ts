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

  test('whose log cannot be written any more is opened again in the same process, with all that was answered', async () => {
    await start();
    const limit = (bytes: number | 'unlimited'): void => {
      execFileSync('prlimit', ['--pid', String(api.child.pid), `--fsize=${bytes}:unlimited`]);
    };
    expect((await send('kept')).status).toBe(201);
    // No file may be written above this: PostgreSQL's own log is one of 16 MiB.
    limit(MIB);
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

  test.each(['53100', '53200', '57014', '57P03', '58030', 'XX001', 'F0000', '25006'])(
    'that fails with %s is API_UNAVAILABLE, and worth another try',
    async (code) => {
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
    },
  );

  test('that could not write is not ready until it can, although it answers', async () => {
    const lines: { level: number; msg: string }[] = [];
    const log = pino({ level: 'info' }, { write: (line: string) => lines.push(JSON.parse(line)) });
    const url = await postgres.createDatabase();
    const db = watchDatabase(openPostgresDatabase(url, log), log);
    const name = new URL(url).pathname.slice(1);
    try {
      await db.check();
      // As a standby that took over nothing, or a disk that went read-only.
      await db.query(`alter database "${name}" set default_transaction_read_only = on`);
      const standby = watchDatabase(openPostgresDatabase(url, log), log);
      try {
        for (let i = 0; i < 3; i += 1) {
          await expect(standby.query('create table t (id int)')).rejects.toMatchObject({ code: 'API_UNAVAILABLE' });
        }
        await expect(standby.check()).rejects.toMatchObject({ code: 'API_UNAVAILABLE' });
        expect((await standby.query('select 1 as one')).rows).toEqual([{ one: 1 }]);
        await expect(standby.check()).rejects.toMatchObject({ code: 'API_UNAVAILABLE' });
        await standby.query('set session characteristics as transaction read write');
        await until('the database to be writable', async () => standby.check().then(() => true));
        await standby.query('create table t (id int)');
      } finally {
        await standby.close();
      }
      expect(lines.map(({ level, msg }) => [level, msg])).toEqual([
        [50, 'the database cannot write (is its disk full?): requests are refused until it is back'],
        [30, 'the database can write again'],
      ]);
    } finally {
      await db.close();
    }
  });
});
