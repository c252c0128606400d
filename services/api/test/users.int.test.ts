import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Database, Queryable, Row } from '../src/db/database.ts';
import { openEmbeddedDatabase } from '../src/db/embedded-database.ts';
import { migrate } from '../src/db/migrate.ts';
import { readUsersAs } from '../src/users/user-store.ts';

const GROUPS = 2_000;
const STRANGERS = Array.from({ length: 97 }, (_, n) => `stranger-${n}`);

let folder: string;
let db: Database;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'groupcast-users-'));
  db = await openEmbeddedDatabase(folder);
  await migrate(db);
  // Group 1 is the one in which something happened last.
  await db.script(`
    insert into users (id, name) select 'stranger-' || n, 'S' from generate_series(0, 96) n;
    insert into users (id, name) values ('busy', 'Busy'), ('member', 'Member'), ('gone', 'Gone'), ('forgotten', 'F');
    insert into groups (id, epoch, kind, created_at)
      select 'g' || n, '1-a', 'group', now() - n * interval '1 minute' from generate_series(1, ${GROUPS}) n;
    insert into group_members (group_id, user_id, role) select 'g' || n, 'busy', 'owner' from generate_series(1, ${GROUPS}) n;
    insert into group_members (group_id, user_id, role) values ('g${GROUPS}', 'member', 'member');
    insert into messages (id, group_id, seq, ordinal, sender_id, content, created_at)
      select 'm' || n, 'g' || n, 1, 1, 'busy', 'x', now() - n * interval '1 minute' from generate_series(1, ${GROUPS}) n;
    insert into messages (id, group_id, seq, ordinal, sender_id, content, created_at)
      select id, 'g' || n, 2, 2, sender, 'bye', now() - n * interval '1 minute'
      from (values ('left', 50, 'gone'), ('long-ago', 150, 'forgotten')) as last (id, n, sender);
  `);
});
afterAll(async () => {
  await db.close();
  rmSync(folder, { recursive: true, force: true });
});

interface Plan {
  'Actual Loops': number;
  'Actual Rows': number;
  'Rows Removed by Filter'?: number;
  'Rows Removed by Join Filter'?: number;
  Plans?: Plan[];
}

function stepsOf(plan: Plan): number {
  const removed = (plan['Rows Removed by Filter'] ?? 0) + (plan['Rows Removed by Join Filter'] ?? 0);
  const own = plan['Actual Loops'] * (1 + plan['Actual Rows'] + removed);
  return (plan.Plans ?? []).reduce((sum, part) => sum + stepsOf(part), own);
}

/** Counts the rows that PostgreSQL looks at, and how often it looks: they are the cost, whatever the machine. */
function createCounter(): { q: Queryable; steps: () => number } {
  let steps = 0;
  return {
    steps: () => steps,
    q: {
      async query<R extends Row>(text: string, params: readonly unknown[] = []) {
        const explain = `explain (analyze, format json) ${text}`;
        const { rows } = await db.query<{ 'QUERY PLAN': { Plan: Plan }[] }>(explain, params);
        for (const { Plan: plan } of rows[0]?.['QUERY PLAN'] ?? []) steps += stepsOf(plan);
        return db.query<R>(text, params);
      },
    },
  };
}

test('the names of a hundred strangers cost somebody in thousands of groups little', async () => {
  const { q, steps } = createCounter();
  const users = await readUsersAs(q, 'busy', ['busy', 'member', 'gone', ...STRANGERS]);
  expect(users.map(({ id }) => id)).toEqual(['busy', 'gone', 'member']);
  expect(steps()).toBeGreaterThan(0);
  expect(steps()).toBeLessThan(200_000);
});

test('a user who has left has a name where something happened last, and not in groups that a hundred others have followed', async () => {
  const users = await readUsersAs(db, 'busy', ['gone', 'forgotten']);
  expect(users).toEqual([{ id: 'gone', name: 'Gone' }]);
});
