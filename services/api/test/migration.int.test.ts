import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type PostgresServer, startPostgres } from '@groupcast/testing';
import { pino } from 'pino';
import { afterAll, beforeAll } from 'vitest';
import { openEmbeddedDatabase } from '../src/db/embedded-database.ts';
import { openPostgresDatabase } from '../src/db/postgres-database.ts';
import { describeMigration } from './migration.suite.ts';

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
