import { type PostgresServer, startPostgres } from '@groupcast/testing';
import { afterAll, beforeAll } from 'vitest';
import { describeBounds } from './bounds.suite.ts';
import { describeHostileInput } from './hostile-input.suite.ts';
import { describeStrangers } from './strangers.suite.ts';

let postgres: PostgresServer;
beforeAll(async () => {
  postgres = await startPostgres();
});
afterAll(async () => {
  await postgres.stop();
});

for (const describeOn of [describeHostileInput, describeBounds, describeStrangers]) {
  describeOn('the embedded database', async () => ({}));
  describeOn('PostgreSQL', async () => ({ DATABASE_URL: await postgres.createDatabase() }));
}
