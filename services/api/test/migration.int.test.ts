import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type PostgresServer, startPostgres } from '@groupcast/testing';
import { pino } from 'pino';
import { afterAll, beforeAll, expect, test } from 'vitest';
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
