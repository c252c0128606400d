import { createServer } from 'node:http';
import { until } from '@groupcast/testing';
import { type PlantedFault, serviceToken } from './stage.ts';
import { listening } from './wires.ts';

/** Processes that run and do not work, or not together. */
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
    name: 'a relay is of another version',
    async plant({ one }) {
      const older = createServer((_asked, answer) => {
        answer.end(JSON.stringify({ ok: true, status: 'ready', node: 'older', version: '0.0.9', groupLog: 'redis' }));
      });
      const { port, close } = await listening(older);
      return { where: { nodes: [one.internalUrl, `http://127.0.0.1:${port}`] }, lift: close };
    },
    doctor: { hop: 'versions', code: 'VERSIONS_DIFFER', cause: /older 0\.0\.9/ },
  },
];
