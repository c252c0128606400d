import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type PostgresServer, startPostgres } from '@groupcast/testing';
import { pino } from 'pino';
import { afterAll, beforeAll } from 'vitest';
import { openEmbeddedDatabase } from '../src/db/embedded-database.ts';
import { openPostgresDatabase } from '../src/db/postgres-database.ts';
import { describeAbsences } from './absences.suite.ts';

const log = pino({ level: 'silent' });

let postgres: PostgresServer;
const folder = mkdtempSync(join(tmpdir(), 'groupcast-absences-'));
beforeAll(async () => {
  postgres = await startPostgres();
});
afterAll(async () => {
  await postgres.stop();
  rmSync(folder, { recursive: true, force: true });
});

describeAbsences('the embedded database', async () => openEmbeddedDatabase(folder, log));
describeAbsences('PostgreSQL', async () => openPostgresDatabase(await postgres.createDatabase(), log));
