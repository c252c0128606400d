import { createBroadcaster } from '@groupcast/broadcaster';
import { startRelayProcess, TEST_SECRETS, tokenFor } from '@groupcast/testing';
import { pidOf, rssMb } from './processes.ts';
import { connectRawMember, type RawMember } from './raw-member.ts';

const MEMBERS = 1_000;
const MESSAGE_BYTES = 64_000;
const MESSAGES = 100;
const INTERVAL_MS = 250;
/** A little less than a loopback connection holds on this machine (net.ipv4.tcp_rmem and tcp_wmem: 33 and 4 MB at most). */
const KERNEL_BYTES = 44_000_000;

const pause = async (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

function percentile(sorted: readonly number[], percent: number): number {
  return sorted[Math.min(sorted.length - 1, Math.ceil((percent * sorted.length) / 100) - 1)] ?? 0;
}

async function measure(name: string, stalls: boolean): Promise<string> {
  const relay = await startRelayProcess({
    NODE_ENV: 'production',
    SOCKET_CORS_ORIGIN: '*',
    SHUTDOWN_DRAIN_SECONDS: '0',
  });
  const pid = pidOf(relay.child);
  const sentAt = new Map<number, number>();
  const latencies: number[] = [];
  const members: RawMember[] = [];
  for (let n = 0; n < MEMBERS; n += 1) {
    const isStalled = stalls && n === 0;
    const token = await tokenFor(`u${n}`, isStalled ? ['g', 'fill'] : ['g']);
    const onMessage = (seq: number, at: number): void => {
      if (!isStalled) latencies.push(at - (sentAt.get(seq) ?? at));
    };
    members.push(await connectRawMember(relay.url, token, onMessage));
  }
  const sender = createBroadcaster({ url: relay.url, serviceSecret: TEST_SECRETS.RELAY_SERVICE_SECRET });
  const content = 'x'.repeat(MESSAGE_BYTES);
  const rss: number[] = [];
  if (stalls) {
    members[0]?.stall();
    // The buffers of the operating system are filled first: they are not the relay's.
    for (let filled = 0; filled < KERNEL_BYTES; filled += MESSAGE_BYTES) {
      await sender.broadcastMessage({ groupId: 'fill', message: { content } });
    }
  }
  for (let seq = 1; seq <= MESSAGES; seq += 1) {
    sentAt.set(seq, performance.now());
    await sender.broadcastMessage({ groupId: 'g', epoch: '1-a', seq, id: `m${seq}`, message: { content } });
    await pause(INTERVAL_MS);
    rss.push(rssMb(pid));
  }
  const others = stalls ? members.slice(1) : members;
  for (let waited = 0; others.some((member) => member.seq < MESSAGES) && waited < 20_000; waited += 50) await pause(50);
  const complete = others.filter((member) => member.messages === MESSAGES).length;
  const metrics = await (await fetch(`${relay.internalUrl}/metrics`)).text();
  const cut = /slow_consumers_total\{[^}]*\} (\d+)/.exec(metrics)?.[1] ?? '0';
  await sender.close();
  for (const member of members) member.close();
  await relay.stop();
  latencies.sort((a, b) => a - b);
  const ms = (percent: number): string => percentile(latencies, percent).toFixed(0);
  const early = Math.max(...rss.slice(0, 10));
  return `| ${name} | ${complete} of ${others.length} | ${cut} | ${ms(50)} · ${ms(99)} · ${ms(100)} | ${early} | ${Math.max(...rss)} | ${rss.at(-1)} |`;
}

/** One reader of a thousand stops: the effect on the others, and the cost to the relay. */
export async function stalled(): Promise<void> {
  console.log(`${MEMBERS} members, ${MESSAGES} messages of ${MESSAGE_BYTES} bytes, one every ${INTERVAL_MS} ms\n`);
  console.log(
    '| | others complete | cut | latency p50 · p99 · max, ms | RSS MB, first quarter | highest | at the end |',
  );
  console.log('|---|---|---|---|---|---|---|');
  console.log(await measure('all read', false));
  console.log(await measure('one stops reading', true));
}
