import { freePort, TEST_SECRETS, until } from '@groupcast/testing';
import { signServiceToken } from '@groupcast/tokens';
import type { PlantedFault } from './stage.ts';

/** Where services are looked for, and whether they answer there. */
export const ADDRESSES: readonly PlantedFault[] = [
  {
    name: 'a variable is no port',
    plant: async () => ({ env: { RELAY_PORT: '30OO' } }),
    doctor: { hop: 'configuration', code: 'CONFIGURATION_INVALID', cause: /RELAY_PORT must be an integer/ },
  },
  {
    name: 'RELAY_URL leads to the internal port',
    plant: async ({ one }) => ({ env: { RELAY_URL: one.internalUrl } }),
    doctor: { hop: 'relay', code: 'WRONG_URL', cause: /the public port of the relay \(RELAY_PORT/ },
  },
  {
    name: 'RELAY_PUBLIC_URL has a path that nobody takes off',
    plant: async ({ one }) => ({ env: { RELAY_PUBLIC_URL: `${one.url}/rt` } }),
    doctor: { hop: 'relay', code: 'WRONG_URL', cause: /the relay speaks Socket\.IO at \/socket\.io\// },
  },
  {
    name: 'API_URL leads to the relay',
    plant: async ({ one }) => ({ env: { API_URL: one.url } }),
    doctor: { hop: 'api', code: 'WRONG_URL', cause: /no API answers/ },
  },
  {
    name: 'the API is down',
    plant: async () => ({ env: { API_URL: `http://127.0.0.1:${await freePort()}` } }),
    doctor: { hop: 'api', code: 'API_UNREACHABLE', cause: /ECONNREFUSED/ },
  },
  {
    name: 'the API cannot start, because its database is away',
    plant: async () => ({
      env: {
        API_URL: `http://127.0.0.1:${await freePort()}`,
        DATABASE_URL: `postgres://postgres@127.0.0.1:${await freePort()}/groupcast`,
      },
    }),
    doctor: { hop: 'database', code: 'DATABASE_UNREACHABLE', cause: /ECONNREFUSED/ },
  },
  {
    name: 'the API knows another address of the relay',
    async plant({ apiWire, one, env }) {
      apiWire.leadTo(await freePort());
      apiWire.cut();
      const headers = {
        authorization: `Bearer ${await signServiceToken({
          secret: TEST_SECRETS.RELAY_SERVICE_SECRET,
          scopes: ['relay'],
          subject: 'test',
          audience: 'groupcast-api',
        })}`,
      };
      const isConnected = async (): Promise<boolean> => {
        const answer = await fetch(`${env['API_URL']}/internal/health`, { headers });
        return ((await answer.json()) as { relay: { connected: boolean } }).relay.connected;
      };
      await until('the API to have lost its relay', async () => !(await isConnected()));
      return {
        async lift() {
          apiWire.leadTo(one.port);
          await until('the API to be back', isConnected);
        },
      };
    },
    doctor: { hop: 'relay', code: 'RELAY_CUT_OFF', cause: /the API is not connected to its relay/ },
  },
];
