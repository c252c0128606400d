import { pino } from 'pino';
import { expect, test } from 'vitest';
import type { Database } from '../src/db/database.ts';
import { fromDatabaseError } from '../src/db/database-errors.ts';
import { watchDatabase } from '../src/db/watched-database.ts';

const FULL = 'the database cannot write (is its disk full?): requests are refused until it is back';
const AWAY = 'the database cannot be reached: requests are refused until it is back';
const BACK = 'the database answers again';
const WRITES = 'the database can write again';

/** A database that fails with `code` while there is one, at a time that the test sets. */
function createWatched() {
  const lines: string[] = [];
  const log = pino({ level: 'info' }, { write: (line: string) => void lines.push(JSON.parse(line).msg) });
  const state = { now: 0, code: '' };
  async function ask(): Promise<{ rows: never[]; count: number }> {
    if (state.code === '') return { rows: [], count: 0 };
    throw fromDatabaseError(Object.assign(new Error('failed'), { code: state.code }));
  }
  const db = { kind: 'postgres', query: ask, transaction: ask } as unknown as Database;
  const watched = watchDatabase(db, log, () => state.now);
  return {
    lines,
    check: async () => watched.check(),
    async at(now: number, code: string) {
      Object.assign(state, { now, code });
      await watched.query('select 1').catch(() => undefined);
    },
  };
}

test('a second outage within a minute is told of: the last word is not that the database answers', async () => {
  const { lines, at } = createWatched();
  await at(0, 'ECONNREFUSED');
  await at(1_000, 'ECONNREFUSED');
  await at(9_000, '');
  await at(9_500, '42501');
  await at(10_000, 'ECONNREFUSED');
  await at(20_000, 'ECONNREFUSED');
  expect(lines).toEqual([AWAY, BACK, 'the database refuses a statement', AWAY]);
});

test('a second full disk within a minute is told of', async () => {
  const { lines, at, check } = createWatched();
  await at(0, '53100');
  await at(9_000, '');
  await check();
  await at(10_000, '53100');
  expect(lines).toEqual([FULL, WRITES, FULL]);
});

test('where every other request fails, the log has a few lines a minute', async () => {
  const { lines, at } = createWatched();
  for (let now = 0; now < 60_000; now += 100) {
    await at(now, 'ECONNRESET');
    await at(now + 50, '');
  }
  expect(lines.slice(0, 4)).toEqual([AWAY, BACK, AWAY, BACK]);
  expect(lines.length).toBeLessThanOrEqual(24);
});
