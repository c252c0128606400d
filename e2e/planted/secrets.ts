import { OTHER_SECRETS, type PlantedFault } from './stage.ts';

/** Secrets, by the side that has another one. */
export const SECRETS: readonly PlantedFault[] = [
  {
    name: 'RELAY_SERVICE_SECRET of the API differs',
    plant: async ({ foreign }) => ({
      env: { ...OTHER_SECRETS, RELAY_URL: foreign.url, RELAY_INTERNAL_URL: foreign.internalUrl, REDIS_URL: '' },
    }),
    doctor: { hop: 'secrets', code: 'SECRET_MISMATCH', cause: /RELAY_SERVICE_SECRET of the API differs/ },
  },
  {
    name: 'RELAY_SERVICE_SECRET here differs',
    plant: async () => ({ env: { RELAY_SERVICE_SECRET: OTHER_SECRETS.RELAY_SERVICE_SECRET } }),
    doctor: { hop: 'secrets', code: 'SECRET_MISMATCH', cause: /RELAY_SERVICE_SECRET here differs from API and relay/ },
  },
  {
    name: 'JWT_SECRET of the API differs',
    plant: async ({ strange }) => ({
      env: {
        JWT_SECRET: OTHER_SECRETS.JWT_SECRET,
        RELAY_URL: strange.url,
        RELAY_INTERNAL_URL: strange.internalUrl,
        REDIS_URL: '',
      },
    }),
    doctor: { hop: 'secrets', code: 'SECRET_MISMATCH', cause: /JWT_SECRET .* of the API differs/ },
  },
];
