import { fileURLToPath } from 'node:url';
import { startRelayProcess } from '@groupcast/testing';
import { startDriver } from './driver/driver.ts';
import { type FanOutSample, measureFanOut } from './fan-out.ts';
import { pin } from './pins.ts';
import { pidOf } from './processes.ts';
import type { ServerKind } from './servers/servers.ts';
import { BURST, SMALL } from './settings.ts';
import { meanRatio, median } from './statistics.ts';

const MEMBERS = 1_000;
const LOADS = [
  { burst: 1, bytes: SMALL },
  { burst: BURST, bytes: SMALL },
] as const;
/** Messages of which the encodings are counted. */
const COUNTED = 100;
const OWN_FILE = fileURLToPath(new URL('servers/renaming.json', import.meta.url));

async function startRelay() {
  const relay = await startRelayProcess({
    NODE_ENV: 'production',
    SOCKET_CORS_ORIGIN: '*',
    PING_INTERVAL_MS: '25000',
    PING_TIMEOUT_MS: '20000',
    RELAY_DIALECTS: `group-array,underscore-events,${OWN_FILE}`,
    RELAY_WS_PATH: '/ws',
  });
  pin(pidOf(relay.child), 'server');
  return relay;
}

function kind(name: string, label: string, dialect: ServerKind['dialect']): ServerKind {
  return {
    name,
    label,
    dialect,
    async start() {
      const relay = await startRelay();
      const node = { port: relay.port, pid: pidOf(relay.child), heapBytes: async () => 0 };
      return { nodes: [node], stop: async () => relay.stop() };
    },
  };
}

const KINDS = [
  kind('native', 'native', 'groupcast'),
  kind('again', 'native, in another process', 'groupcast'),
  kind('one', 'one dialect, names as long as ours', 'renaming'),
  kind('longer', 'one dialect, longer names (underscore-events)', 'oneDialect'),
  kind('four', 'four dialects in one group', 'fourDialects'),
  kind('raw', 'raw WebSocket', 'rawDoor'),
] as const;

/** How often one message is encoded for members who speak four dialects. */
async function countEncodings(): Promise<number> {
  const relay = await startRelay();
  const driver = startDriver();
  try {
    await driver.ask('open', { ports: [relay.port], dialect: 'fourDialects', members: MEMBERS });
    const encoded = async (): Promise<number> => {
      const text = await (await fetch(`${relay.internalUrl}/metrics`)).text();
      const counts = [...text.matchAll(/^groupcast_relay_fan_out_encodings_total\{.*\} (\d+)$/gm)];
      return counts.reduce((sum, [, count]) => sum + Number(count), 0);
    };
    const before = await encoded();
    let messages = 0;
    while (messages < COUNTED) {
      messages += (await driver.ask('flood', { burst: 1, bytes: SMALL, ms: 0, pids: [] })).messages;
    }
    return ((await encoded()) - before) / messages;
  } finally {
    await driver.stop();
    await relay.stop();
  }
}

/**
 * The fan-out of one relay to members who speak other dialects, and over the raw door, beside native ones in the same run. Two processes that do the
 * same differ by some percent, for as long as they live, so each round has processes of its own, and a ratio is the mean of those of all rounds.
 */
export async function dialects({ isQuick }: { isQuick: boolean }): Promise<void> {
  const [rounds, repetitions, sampleMs] = isQuick ? [3, 1, 500] : [10, 2, 1_000];
  const progress = (line: string): void => console.error(line);
  const samples: FanOutSample[][] = [];
  for (let round = 0; round < rounds; round += 1) {
    // The first in one round is the last in the next.
    const kinds = round % 2 === 0 ? KINDS : KINDS.toReversed();
    const options = { repetitions, sampleMs, warmUpMs: 1_500, second: false, progress };
    samples.push(await measureFanOut(kinds, { members: MEMBERS, loads: LOADS }, options));
  }
  console.log(
    `CPU µs per delivery to ${MEMBERS} members, ${SMALL} bytes, ${rounds} rounds with processes of their own; ratio to native, with the interval in which its mean is at 95 %.\n`,
  );
  console.log('| | one at a time | ÷ native | bursts of 20 | ÷ native |');
  console.log('|---|---|---|---|---|');
  const ofRound = (round: readonly FanOutSample[], server: string, burst: number): number =>
    median(round.filter((each) => each.server === server && each.burst === burst).map((each) => each.cpuUsPerDelivery));
  for (const { name, label } of KINDS) {
    const cells = LOADS.flatMap(({ burst }) => {
      const values = samples.map((round) => ofRound(round, name, burst));
      const ratios = samples.map((round, n) => (values[n] ?? Number.NaN) / ofRound(round, 'native', burst));
      const { mean, from, to } = meanRatio(ratios);
      return [
        median(values).toFixed(3),
        name === 'native' ? '1' : `${mean.toFixed(3)} (${from.toFixed(3)} to ${to.toFixed(3)})`,
      ];
    });
    console.log(`| ${label} | ${cells.join(' | ')} |`);
  }
  console.log(`\nEncodings of one message for four dialects: ${await countEncodings()}`);
}
