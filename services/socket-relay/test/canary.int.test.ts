import {
  type RedisServer,
  received,
  startRedis,
  startTcpProxy,
  type TcpProxy,
  TEST_SECRETS,
  until,
} from '@groupcast/testing';
import { signServiceToken } from '@groupcast/tokens';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { canaryGroup } from '../src/canary/canary.ts';
import type { RelayConfig } from '../src/config.ts';
import { type RelayUnderTest, startRelayUnderTest } from './relay-harness.ts';

const QUICK: Pick<RelayConfig, 'canary' | 'leaseMs'> = {
  canary: { intervalMs: 100, deadlineMs: 1_500 },
  // Renewed five times within it, which is how relays learn of each other's canaries.
  leaseMs: 3_000,
};
const PATIENCE_MS = 30_000;

interface Health {
  status: string;
  failing?: string[];
  degraded?: string[];
}
/** Without `event-loop`: beside other work any relay may be late. */
async function healthOf(relay: RelayUnderTest): Promise<Health> {
  const answer = (await (await fetch(`${relay.internalUrl}/readyz`)).json()) as Health;
  const failing = answer.failing?.filter((part) => part !== 'event-loop') ?? [];
  return { status: answer.status, failing, degraded: answer.degraded ?? [] };
}
async function metric(relay: RelayUnderTest, name: string): Promise<number> {
  const text = await (await fetch(`${relay.internalUrl}/metrics`)).text();
  return Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(text)?.[1]);
}
const passes = async (relay: RelayUnderTest) => (await metric(relay, 'groupcast_relay_canary_seconds')) > 0;

test('a relay alone hears its own canaries, of which monitor, metrics and log know nothing', async () => {
  const relay = await startRelayUnderTest({}, QUICK);
  try {
    const secret = TEST_SECRETS.RELAY_SERVICE_SECRET;
    const token = await signServiceToken({ secret, subject: 'm', scopes: ['monitor'] });
    const monitor = relay.client({ token, type: 'monitor' });
    const shown: { kind: string }[] = [];
    monitor.on('monitor-event', (event: { kind: string }) => shown.push(event));
    await received(monitor, 'monitor-snapshot');
    await until('a canary', async () => passes(relay), PATIENCE_MS);
    const before = await metric(relay, 'groupcast_relay_canary_seconds');
    await until('another', async () => (await metric(relay, 'groupcast_relay_canary_seconds')) !== before, PATIENCE_MS);
    await relay.broadcaster.broadcastMessage({ groupId: 'g', message: { content: 'x' } });
    await until('the broadcast', () => shown.some(({ kind }) => kind === 'broadcast'));
    expect(shown.filter(({ kind }) => kind === 'broadcast')).toMatchObject([{ groupId: 'g' }]);
    expect(await metric(relay, 'groupcast_relay_broadcasts_without_recipients_total')).toBe(1);
    expect(await metric(relay, 'groupcast_relay_deliveries_total')).toBe(0);
    expect(relay.logged.filter(({ msg }) => msg.includes('canar'))).toEqual([]);
    expect(await metric(relay, 'groupcast_relay_group_log\\{of="events"\\}')).toBe(2);
  } finally {
    await relay.close();
  }
});

describe('relays on one Redis', () => {
  let redis: RedisServer;
  let proxies: TcpProxy[];
  const relays: RelayUnderTest[] = [];

  beforeAll(async () => {
    redis = await startRedis();
  });
  afterAll(async () => redis.stop());
  beforeEach(async () => {
    redis.ask('flushall');
    proxies = [await startTcpProxy(redis.port), await startTcpProxy(redis.port)];
    for (const { port } of proxies) {
      relays.push(await startRelayUnderTest({ REDIS_URL: `redis://127.0.0.1:${port}` }, QUICK));
    }
    await until('canaries of all', async () => (await Promise.all(relays.map(passes))).every(Boolean), PATIENCE_MS);
  });
  afterEach(async () => {
    await Promise.all(relays.splice(0).map(async (relay) => relay.close()));
    await Promise.all(proxies.map(async (proxy) => proxy.close()));
  });

  test('one that hears nothing on its channels is unready while the other hears its own; when both are deaf, both are degraded and ready (G90)', async () => {
    const [deaf, other] = relays as [RelayUnderTest, RelayUnderTest];
    proxies[0]?.keepBack('smessage');
    await until('one to be unready', async () => (await healthOf(deaf)).failing?.includes('canary'), PATIENCE_MS);
    expect((await fetch(`${deaf.internalUrl}/readyz`)).status).toBe(503);
    expect(await healthOf(other)).toMatchObject({ failing: [], degraded: [] });
    expect(await metric(deaf, 'groupcast_relay_canary_failures_total')).toBeGreaterThanOrEqual(2);

    proxies[1]?.keepBack('smessage');
    for (const relay of relays) {
      const degraded = async () => (await healthOf(relay)).degraded?.includes('canary');
      await until('both to be degraded', degraded, PATIENCE_MS);
      expect((await healthOf(relay)).failing).toEqual([]);
      expect(relay.logged.filter(({ level, code }) => level === 50 && code === 'CANARY')).not.toEqual([]);
    }

    for (const proxy of proxies) proxy.keepBack('');
    const areWell = async () =>
      (await Promise.all(relays.map(healthOf))).every(({ degraded }) => degraded?.length === 0);
    await until('both to be well', areWell, PATIENCE_MS);
  });

  test('leave one event of each in Redis, and nothing of it for longer than a minute', async () => {
    const key = async () => redis.ask('keys', `*${canaryGroup('')}*:log`).split('\n');
    const [log = ''] = await key();
    const before = redis.ask('hkeys', log);
    await until('the next one', () => redis.ask('hkeys', log) !== before);
    const [, ...others] = redis.ask('hkeys', log).split('\n');
    expect([(await key()).length, others]).toEqual([2, []]);
    const ofCanaries = redis.ask('keys', `*${canaryGroup('')}*`).split('\n');
    for (const name of ofCanaries) expect([name, Number(redis.ask('ttl', name)) <= 60]).toEqual([name, true]);
  });
});
