import { type PostgresServer, startPostgres } from '@groupcast/testing';
import { afterAll, beforeAll } from 'vitest';
import { describeApi } from './api.suite.ts';

let postgres: PostgresServer;
beforeAll(async () => {
  postgres = await startPostgres();
});
afterAll(async () => {
  await postgres.stop();
});

describeApi('the embedded database', async () => ({}));
describeApi('PostgreSQL', async () => ({ DATABASE_URL: await postgres.createDatabase() }));
