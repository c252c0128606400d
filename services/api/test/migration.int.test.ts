import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ConfigurationError } from '@groupcast/service-kit';
import { type PostgresServer, startPostgres } from '@groupcast/testing';
import { pino } from 'pino';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Database } from '../src/db/database.ts';
import { openEmbeddedDatabase } from '../src/db/embedded-database.ts';
import { migrate } from '../src/db/migrate.ts';
import { openPostgresDatabase } from '../src/db/postgres-database.ts';
import { describeMigration } from './migration.suite.ts';
import { migrateToReleased } from './released-store.ts';

let postgres: PostgresServer;
let folder: string;
beforeAll(async () => {
  postgres = await startPostgres();
  folder = mkdtempSync(join(tmpdir(), 'groupcast-migration-'));
});
afterAll(async () => {
  await postgres.stop();
  rmSync(folder, { recursive: true, force: true });
});

describeMigration('the embedded database', async () => openEmbeddedDatabase(folder));
describeMigration('PostgreSQL', async () =>
  openPostgresDatabase(await postgres.createDatabase(), pino({ level: 'silent' })),
);

test('a table that somebody reads for a long time holds up the migration, and the migration holds up nobody else', async () => {
  const db = openPostgresDatabase(await postgres.createDatabase(), pino({ level: 'silent' }));
  try {
    await migrateToReleased(db);
    let finish = (): void => undefined;
    const isFinished = new Promise<void>((resolve) => {
      finish = resolve;
    });
    // As a dump does.
    const reading = new Promise<void>((isReading) => {
      void db.transaction(async (tx) => {
        await tx.query('select count(*) from messages');
        isReading();
        await isFinished;
      });
    });
    await reading;
    let migrated: Promise<string[]> | undefined;
    await new Promise<void>((isLocked) => {
      migrated = migrate(db, undefined, () => isLocked());
    });
    // Nobody waits for it meanwhile.
    await db.query('select count(*) from messages');
    finish();
    expect(await migrated).toContain('0011_message_copies.sql');
  } finally {
    await db.close();
  }
});

describe('a database of another application', () => {
  const RAILS = 'create table schema_migrations (version varchar primary key)';
  const UNUSED = 'create table schema_migrations (name text primary key, sha256 text not null, applied_at timestamptz)';

  async function tablesIn(db: Database, schema: string): Promise<string[]> {
    const { rows } = await db.query<{ name: string }>(
      'select tablename::text as name from pg_tables where schemaname = $1 order by 1',
      [schema],
    );
    return rows.map(({ name }) => name);
  }

  test.each([
    ['a table', ['create table orders (id int)'], 'orders'],
    ['the migrations of Rails', [RAILS], 'schema_migrations'],
    ['a table, and where Groupcast has failed before', ['create table orders (id int)', UNUSED], 'orders'],
  ])('that has %s is refused, and gets no table', async (_has, statements, named) => {
    const db = openPostgresDatabase(await postgres.createDatabase(), pino({ level: 'silent' }));
    try {
      for (const statement of statements) await db.script(statement);
      const before = await tablesIn(db, 'public');
      const refusal: unknown = await migrate(db).catch((error: unknown) => error);
      expect(refusal).toBeInstanceOf(ConfigurationError);
      expect(String(refusal)).toContain(`DATABASE_URL names a database of another application: "${named}" is in its`);
      expect(await tablesIn(db, 'public')).toEqual(before);
    } finally {
      await db.close();
    }
  });

  test('is used where Groupcast has a schema of its own', async () => {
    const url = await postgres.createDatabase();
    const other = openPostgresDatabase(url, pino({ level: 'silent' }));
    const own = openPostgresDatabase(`${url}?options=-c%20search_path%3Dchat`, pino({ level: 'silent' }));
    try {
      await other.script(`create schema chat; create table orders (id int); ${RAILS}`);
      expect(await migrate(own)).toContain('0001_groups_messages_outbox.sql');
      expect(await tablesIn(other, 'public')).toEqual(['orders', 'schema_migrations']);
      expect(await tablesIn(other, 'chat')).toContain('messages');
    } finally {
      await own.close();
      await other.close();
    }
  });

  test('that Groupcast has shared before is brought to the newest version', async () => {
    const db = openPostgresDatabase(await postgres.createDatabase(), pino({ level: 'silent' }));
    try {
      await migrateToReleased(db);
      await db.script('create table orders (id int)');
      expect(await migrate(db)).toContain('0011_message_copies.sql');
    } finally {
      await db.close();
    }
  });
});
