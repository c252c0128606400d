import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type PostgresServer, startPostgres } from '@groupcast/testing';
import { pino } from 'pino';
import { afterAll, beforeAll } from 'vitest';
import type { Database } from '../src/db/database.ts';
import { openEmbeddedDatabase } from '../src/db/embedded-database.ts';
import { migrate } from '../src/db/migrate.ts';
import { openPostgresDatabase } from '../src/db/postgres-database.ts';
import { describeCopies } from './copies.suite.ts';
import { describeCrashes } from './crash.suite.ts';
import { describeEdits } from './edits.suite.ts';
import { describeSeveralProcesses } from './several-processes.suite.ts';
import { describeStore } from './store-model.suite.ts';
import { describeVanishingGroups } from './vanishing-groups.suite.ts';

const log = pino({ level: 'silent' });
let postgres: PostgresServer;
let folder: string;
beforeAll(async () => {
  postgres = await startPostgres();
  folder = mkdtempSync(join(tmpdir(), 'groupcast-store-'));
});
afterAll(async () => {
  await postgres.stop();
  rmSync(folder, { recursive: true, force: true });
});

/** The same database, as several processes have it. */
async function openPostgres(processes: number): Promise<Database[]> {
  const url = await postgres.createDatabase();
  const databases = Array.from({ length: processes }, () => openPostgresDatabase(url, log));
  await migrate(databases[0] as Database);
  return databases;
}

async function openEmbedded(): Promise<Database[]> {
  const db = await openEmbeddedDatabase(folder);
  await migrate(db);
  return [db];
}

describeStore('the embedded database', openEmbedded);
describeCopies('the embedded database', openEmbedded);
describeCopies('PostgreSQL, with two processes', async () => openPostgres(2));
describeEdits('the embedded database', openEmbedded);
describeEdits('PostgreSQL, with two processes', async () => openPostgres(2));
describeVanishingGroups('the embedded database', openEmbedded);
describeVanishingGroups('PostgreSQL', async () => openPostgres(1));
describeStore('PostgreSQL, with three processes', async () => openPostgres(3));

// Each run takes a tenth of a second, so the embedded database, on which the same statements run, has a part of them.
describeCrashes('the embedded database', async () => (await openEmbedded())[0] as Database, [
  { fault: 'dies', from: 1, every: 12 },
]);
describeCrashes('PostgreSQL', async () => (await openPostgres(1))[0] as Database, [
  { fault: 'dies', from: 1, every: 3 },
  { fault: 'refused', from: 1, every: 8 },
  { fault: 'unanswered', from: 2, every: 8 },
]);
describeSeveralProcesses(async () => postgres.createDatabase());
