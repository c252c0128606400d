import { fileURLToPath } from 'node:url';
import { freePort, type ManagedProcess, startNode, startRedis, TEST_SECRETS } from '@groupcast/testing';
import { afterEach, describe, expect, test } from 'vitest';

const RELAY = fileURLToPath(new URL('../dist/main.js', import.meta.url));
const RIGHT = 'the-right-password-0123456789';
const WRONG = 'the-wrong-password-0123456789';

const URLS: readonly [what: string, urlOf: (address: string) => string][] = [
  ['one server', (address) => `redis://:${WRONG}@${address}`],
  ['one server, by user name', (address) => `redis://somebody:${WRONG}@${address}`],
  ['a cluster', (address) => `redis://:${WRONG}@${address},redis://:${WRONG}@${address}`],
];

describe('the log of a relay', () => {
  const relays: ManagedProcess[] = [];
  let stopRedis: (() => Promise<void>) | undefined;
  afterEach(async () => {
    await Promise.all(relays.splice(0).map(async (relay) => relay.stop()));
    await stopRedis?.();
  });

  async function outputOf(url: string, level = 'trace'): Promise<string> {
    const relay = startNode([RELAY], {
      ...TEST_SECRETS,
      LOG_LEVEL: level,
      API_URL: '',
      RELAY_PORT: String(await freePort()),
      RELAY_INTERNAL_PORT: String(await freePort()),
      REDIS_URL: url,
    });
    relays.push(relay);
    await relay.wrote('WRONGPASS');
    expect(await relay.exited()).toBe(1);
    return relay.output();
  }

  // Each of them tries for ten seconds.
  test('says that Redis refuses the password, and does not have it in it at its most talkative: of a server, of a server by user name, of a cluster', async () => {
    const redis = await startRedis(['--requirepass', RIGHT]);
    stopRedis = async () => redis.stop();
    const address = `127.0.0.1:${redis.port}`;
    const [plain, ...outputs] = await Promise.all([
      outputOf(URLS[0]?.[1](address) ?? '', 'info'),
      ...URLS.map(async ([, urlOf]) => outputOf(urlOf(address))),
    ]);
    expect(plain).toContain('redis refuses this relay; look at the user and the password in REDIS_URL');
    expect(plain).toMatch(/unable to start; REDIS_URL is set, and redis cannot be used: WRONGPASS/);
    for (const [index, output] of outputs.entries()) {
      const what = URLS[index]?.[0];
      expect([what, output.includes('redis refuses this relay')]).toEqual([what, true]);
      expect([what, output.includes(WRONG)]).toEqual([what, false]);
      expect([what, output.includes(TEST_SECRETS.RELAY_SERVICE_SECRET)]).toEqual([what, false]);
    }
  });

  test.each(['1', '2'])(
    'of %s workers ends with a wrong configuration where another deployment is: it exits 78',
    async (workers) => {
      const redis = await startRedis();
      stopRedis = async () => redis.stop();
      const start = async (env: Readonly<Record<string, string>>): Promise<ManagedProcess> => {
        const ports = { RELAY_PORT: String(await freePort()), RELAY_INTERNAL_PORT: String(await freePort()) };
        const relay = startNode([RELAY], { ...TEST_SECRETS, ...ports, API_URL: '', REDIS_URL: redis.url, ...env });
        relays.push(relay);
        return relay;
      };
      await (await start({})).wrote('"listening"');
      const second = await start({ RELAY_SERVICE_SECRET: WRONG, RELAY_WORKERS: workers });
      expect(await second.exited()).toBe(78);
      expect(second.output()).toContain('invalid configuration: REDIS_URL leads to a Redis in which relays of another');
      expect(second.output()).not.toContain(WRONG);
    },
  );
});
