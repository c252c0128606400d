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

describe('the log of a relay, at its most talkative,', () => {
  const relays: ManagedProcess[] = [];
  let stopRedis: (() => Promise<void>) | undefined;
  afterEach(async () => {
    await Promise.all(relays.splice(0).map(async (relay) => relay.stop()));
    await stopRedis?.();
  });

  async function outputOf(url: string): Promise<string> {
    const relay = startNode([RELAY], {
      ...TEST_SECRETS,
      LOG_LEVEL: 'trace',
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
  test('does not have the password that Redis refuses in it: of a server, of a server by user name, of a cluster', async () => {
    const redis = await startRedis(['--requirepass', RIGHT]);
    stopRedis = async () => redis.stop();
    const outputs = await Promise.all(URLS.map(async ([, urlOf]) => outputOf(urlOf(`127.0.0.1:${redis.port}`))));
    for (const [index, output] of outputs.entries()) {
      const what = URLS[index]?.[0];
      expect([what, output.includes(WRONG)]).toEqual([what, false]);
      expect([what, output.includes(TEST_SECRETS.RELAY_SERVICE_SECRET)]).toEqual([what, false]);
    }
  });
});
