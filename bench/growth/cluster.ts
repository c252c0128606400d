import { openSqlSession, type PostgresServer, startPostgres } from '@groupcast/testing';

/** As a server with 8 GB would have them; `startPostgres` adds fsync, synchronous_commit and full_page_writes off. */
const SETTINGS: Readonly<Record<string, string>> = {
  shared_buffers: '2GB',
  effective_cache_size: '6GB',
  work_mem: '16MB',
  maintenance_work_mem: '512MB',
  max_wal_size: '8GB',
  checkpoint_timeout: '15min',
  random_page_cost: '1.1',
  autovacuum_naptime: '10s',
};

/** The sentence of the report about it. */
export const CLUSTER = `${Object.entries(SETTINGS)
  .map(([name, value]) => `${name} ${value}`)
  .join(', ')}; fsync, synchronous_commit and full_page_writes off`;

/** A PostgreSQL of its own with settings of a server that has data. */
export async function startCluster(): Promise<PostgresServer> {
  const postgres = await startPostgres();
  try {
    const session = await openSqlSession(postgres.url);
    for (const [name, value] of Object.entries(SETTINGS)) await session.query(`alter system set ${name} = '${value}'`);
    await session.end();
    await postgres.stopServer();
    await postgres.startServer();
    return postgres;
  } catch (error) {
    await postgres.stop();
    throw error;
  }
}
