import { until } from '@groupcast/testing';
import { type PlantedFault, relaysTogether, serviceToken, setRedisUser } from './stage.ts';

/** Processes that run and do not work. */
export const STATES: readonly PlantedFault[] = [
  {
    name: 'the relay is frozen',
    isSilent: true,
    async plant({ lone, env }) {
      lone.signal('SIGSTOP');
      return {
        env: { ...env, RELAY_URL: lone.url, RELAY_INTERNAL_URL: '', REDIS_URL: '' },
        lift: () => lone.signal('SIGCONT'),
      };
    },
    doctor: { hop: 'relay', code: 'RELAY_SILENT', cause: /takes a connection and does not answer/ },
  },
  {
    name: 'another relay is frozen',
    isSilent: true,
    async plant({ lone }) {
      lone.signal('SIGSTOP');
      return { where: { relays: [lone.url] }, lift: () => lone.signal('SIGCONT') };
    },
    doctor: { hop: 'nodes', code: 'NODE_SILENT', cause: /does not answer/ },
  },
  {
    name: 'the API is frozen',
    isSilent: true,
    async plant({ api }) {
      api.signal('SIGSTOP');
      return { lift: () => api.signal('SIGCONT') };
    },
    doctor: { hop: 'api', code: 'API_SILENT', cause: /takes a connection and does not answer/ },
  },
  {
    name: 'the relay is drained',
    async plant({ lone }) {
      const headers = { authorization: `Bearer ${await serviceToken('admin')}` };
      const drain = async (method: string): Promise<unknown> =>
        fetch(`${lone.internalUrl}/v1/drain`, { method, headers });
      await drain('POST');
      return {
        env: { RELAY_URL: lone.url, RELAY_INTERNAL_URL: lone.internalUrl, REDIS_URL: '' },
        lift: async () => drain('DELETE'),
      };
    },
    doctor: { hop: 'relay', code: 'RELAY_DRAINING', cause: /is stopping/ },
  },
  {
    name: 'the database is read-only',
    async plant({ postgres }) {
      const set = async (value: 'on' | 'off'): Promise<void> => {
        await postgres.query(`alter system set default_transaction_read_only = ${value}`);
        await postgres.query('select pg_reload_conf()');
        await until('PostgreSQL to know', async () => {
          const { rows } = await postgres.query('show default_transaction_read_only');
          return (rows[0] as { default_transaction_read_only: string }).default_transaction_read_only === value;
        });
      };
      await set('on');
      return { lift: async () => set('off') };
    },
    doctor: { hop: 'database', code: 'DATABASE_READ_ONLY', cause: /takes no writes/ },
  },
  {
    name: 'the database is down',
    async plant({ postgres, api }) {
      await postgres.stopServer();
      return {
        async lift() {
          await postgres.startServer();
          await until('the API to be ready', async () => (await fetch(`${api.url}/readyz`)).ok);
        },
      };
    },
    doctor: { hop: 'database', code: 'DATABASE_UNREACHABLE', cause: /does not reach its database/ },
  },
  {
    name: 'a relay hears nothing from Redis',
    async plant({ redis, two, ...stage }) {
      setRedisUser(redis, 'resetchannels');
      return {
        where: { relays: [two.url] },
        async lift() {
          setRedisUser(redis, 'allchannels');
          await relaysTogether({ two, ...stage });
        },
      };
    },
    doctor: { hop: 'redis', code: 'REDIS_UNREACHABLE', cause: /the relay at .* cannot use Redis/ },
  },
];
