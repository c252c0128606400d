import { expect, test } from 'vitest';
import { type Chunk, readPageWithin } from '../src/db/page-budget.ts';

interface Row {
  id: number;
  bytes: number;
}

/** As the SQL does: rows behind those that fill the chunk are left out, the first one never is. */
function reader(sizes: readonly number[]) {
  const rows = sizes.map((bytes, id): Row => ({ id, bytes }));
  return async ({ last, count, maxBytes }: Chunk<Row>): Promise<Row[]> => {
    const from = last === undefined ? 0 : last.id + 1;
    let ahead = 0;
    return rows.slice(from, from + count).filter(({ bytes }) => {
      const fits = ahead <= maxBytes;
      ahead += bytes;
      return fits;
    });
  };
}

test.each([
  ['behind a row that is larger than a page', [300_000, 10, 10], [0], true],
  ['of which the last one is larger than a page', [10, 10, 300_000], [0, 1], true],
  ['of one row that is larger than a page', [300_000], [0], false],
  ['that fit', [10, 10, 10], [0, 1, 2], false],
  ['that fill a page', [200_000, 60_000, 10_000], [0, 1], true],
])('rows %s', async (_what, sizes, ids, more) => {
  const page = await readPageWithin<Row>({ limit: 50 }, reader(sizes));
  expect([page.rows.map(({ id }) => id), page.more]).toEqual([ids, more]);
});
