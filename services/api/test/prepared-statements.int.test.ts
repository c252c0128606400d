import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Database, Queryable } from '../src/db/database.ts';
import { openEmbeddedDatabase } from '../src/db/embedded-database.ts';

let folder: string;
let db: Database;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'groupcast-prepared-'));
  db = await openEmbeddedDatabase(folder);
  await db.script(
    'create table things (id text primary key, n bigint, at timestamptz, body jsonb, names text[], ok boolean)',
  );
});
afterAll(async () => {
  await db.close();
  rmSync(folder, { recursive: true, force: true });
});

const INSERT = 'insert into things (id, n) values ($1, $2)';
async function timesPlanned(text: string): Promise<number> {
  const { rows } = await db.query<{ statement: string }>('select statement from pg_prepared_statements');
  return rows.filter(({ statement }) => statement === text).length;
}
const codeOf = async (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => 'no error',
    (error: unknown) => (error as { code?: string }).code ?? String(error),
  );

describe('a statement of the embedded database', () => {
  test('is planned once, in a transaction and outside, also when many come together', async () => {
    const text = 'select $1::text as value';
    const values = await Promise.all(['a', 'b', 'c'].map(async (value) => db.query(text, [value])));
    expect(values.flatMap(({ rows }) => rows)).toEqual([{ value: 'a' }, { value: 'b' }, { value: 'c' }]);
    expect((await db.transaction(async (tx) => tx.query(text, ['d']))).rows).toEqual([{ value: 'd' }]);
    expect(await timesPlanned(text)).toBe(1);
  });

  test('takes and gives every type as it is', async () => {
    const at = new Date('2026-01-02T03:04:05.678Z');
    const text = 'insert into things values ($1, $2, $3, $4, $5, $6)';
    const inserted = await db.query(text, ['types', 7, at, { a: [1, 'ä"\\'] }, ['x', 'y,"z', ''], true]);
    expect(inserted).toEqual({ rows: [], count: 1 });
    await db.query(text, ['nulls', null, undefined, null, null, null]);
    const { rows } = await db.query('select * from things where id = any($1) order by id desc', [['types', 'nulls']]);
    expect(rows).toEqual([
      { id: 'types', n: 7, at, body: { a: [1, 'ä"\\'] }, names: ['x', 'y,"z', ''], ok: true },
      { id: 'nulls', n: null, at: null, body: null, names: null, ok: null },
    ]);
  });

  test('that fails has the code of its failure, and works the next time', async () => {
    await db.query(INSERT, ['twice', 1]);
    expect(await codeOf(db.query(INSERT, ['twice', 2]))).toBe('23505');
    expect((await db.query(INSERT, ['once', 1])).count).toBe(1);
    const failed = db.transaction(async (tx) => {
      await tx.query(INSERT, ['rolled back', 1]);
      await tx.query(INSERT, ['twice', 2]);
    });
    expect(await codeOf(failed)).toBe('23505');
    expect((await db.query(INSERT, ['rolled back', 1])).count).toBe(1);
  });

  test('that could not be planned is planned when it can be', async () => {
    const text = 'select id from later where id = $1';
    expect(await codeOf(db.query(text, ['a']))).toBe('42P01');
    await db.script('create table later (id text)');
    expect((await db.query(text, ['a'])).count).toBe(0);
  });

  test('waits for the transaction of somebody else, and is refused by one that has ended', async () => {
    const order: string[] = [];
    let ended: Queryable | undefined;
    let outside: Promise<unknown> | undefined;
    await db.transaction(async (tx) => {
      ended = tx;
      outside = db.query(INSERT, ['outside', 1]).then(() => order.push('outside'));
      await tx.query(INSERT, ['inside 1', 1]);
      await tx.query(INSERT, ['inside 2', 1]);
      order.push('inside');
    });
    await outside;
    expect(order).toEqual(['inside', 'outside']);
    expect(await codeOf(ended?.query(INSERT, ['after', 1]) ?? Promise.resolve())).toContain('closed');
  });

  test('is refused, and told why, where the database is closed', async () => {
    const other = mkdtempSync(join(tmpdir(), 'groupcast-closed-'));
    const closed = await openEmbeddedDatabase(other);
    await closed.query('select 1');
    await closed.close();
    expect(await codeOf(closed.query('select 1'))).toContain('closed');
    rmSync(other, { recursive: true, force: true });
  });

  test('is planned anew when its tables are others, after it was refused once', async () => {
    const text = 'select * from changing';
    await db.script('create table changing (a int)');
    await db.query(text, []);
    await db.script('alter table changing add column b int default 2; insert into changing values (1)');
    expect(await codeOf(db.query(text, []))).toBe('0A000');
    expect((await db.query(text, [])).rows).toEqual([{ a: 1, b: 2 }]);
  });
});
