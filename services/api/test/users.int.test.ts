import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Database } from '../src/db/database.ts';
import { openEmbeddedDatabase } from '../src/db/embedded-database.ts';
import { migrate } from '../src/db/migrate.ts';
import { readUsersAs } from '../src/users/user-store.ts';
import { createStepCounter } from './plans.ts';

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

test('the names of a hundred strangers cost somebody in thousands of groups little', async () => {
  const { q, steps } = createStepCounter(db);
  const users = await readUsersAs(q, 'busy', ['busy', 'member', 'gone', ...STRANGERS]);
  expect(users.map(({ id }) => id)).toEqual(['busy', 'gone', 'member']);
  expect(steps()).toBeGreaterThan(0);
  expect(steps()).toBeLessThan(200_000);
});

test('a user who has left has a name where something happened last, and not in groups that a hundred others have followed', async () => {
  const users = await readUsersAs(db, 'busy', ['gone', 'forgotten']);
  expect(users).toEqual([{ id: 'gone', name: 'Gone' }]);
});
