import { fileURLToPath } from 'node:url';
import { freePort, type ManagedProcess, startNode, startRedis, TEST_SECRETS } from '@groupcast/testing';
import { afterEach, describe, expect, test } from 'vitest';

const RELAY = fileURLToPath(new URL('../dist/main.js', import.meta.url));
const RIGHT = 'the-right-password-0123456789';
const WRONG = 'the-wrong-password-0123456789';

describe('the log of a relay, at its most talkative,', () => {
  let relay: ManagedProcess | undefined;
  let stopRedis: (() => Promise<void>) | undefined;
  afterEach(async () => {
    await relay?.stop();
    await stopRedis?.();
  });

  test.each([
    ['one server', (address: string) => `redis://:${WRONG}@${address}`],
    ['one server, by user name', (address: string) => `redis://somebody:${WRONG}@${address}`],
    ['a cluster', (address: string) => `redis://:${WRONG}@${address},redis://:${WRONG}@${address}`],
  ])('does not have the password that Redis refuses in it: %s', async (_, urlOf) => {
    const redis = await startRedis(['--requirepass', RIGHT]);
    stopRedis = async () => redis.stop();
    relay = startNode([RELAY], {
      ...TEST_SECRETS,
      LOG_LEVEL: 'trace',
      API_URL: '',
      RELAY_PORT: String(await freePort()),
      RELAY_INTERNAL_PORT: String(await freePort()),
      REDIS_URL: urlOf(`127.0.0.1:${redis.port}`),
    });
    await relay.wrote('WRONGPASS');
    expect(await relay.exited()).toBe(1);
    expect(relay.output()).not.toContain(WRONG);
    expect(relay.output()).not.toContain(TEST_SECRETS.RELAY_SERVICE_SECRET);
  });
});
