import { fileURLToPath } from 'node:url';
import { startRelayProcess } from '@groupcast/testing';
import { startDriver } from './driver/driver.ts';
import { measureFanOut } from './fan-out.ts';
import { pin } from './pins.ts';
import { pidOf } from './processes.ts';
import type { ServerKind } from './servers/servers.ts';
import { BURST, SMALL } from './settings.ts';
import { median } from './statistics.ts';

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

/** The fan-out of one relay to members who speak other dialects, and over the raw door, beside native ones in the same run. */
export async function dialects({ isQuick }: { isQuick: boolean }): Promise<void> {
  const [repetitions, sampleMs] = isQuick ? [3, 500] : [9, 1_500];
  const progress = (line: string): void => console.error(line);
  const options = { repetitions, sampleMs, warmUpMs: 1_000, second: false, progress };
  const samples = await measureFanOut(KINDS, { members: MEMBERS, loads: LOADS }, options);
  console.log(
    `CPU µs per delivery to ${MEMBERS} members, ${SMALL} bytes, ${repetitions} repetitions; ratio to native.\n`,
  );
  console.log('| | one at a time | ÷ native | bursts of 20 | ÷ native |');
  console.log('|---|---|---|---|---|');
  const medianOf = (server: string, burst: number): number =>
    median(
      samples.filter((each) => each.server === server && each.burst === burst).map((each) => each.cpuUsPerDelivery),
    );
  for (const { name, label } of KINDS) {
    const cells = LOADS.flatMap(({ burst }) => {
      const [own, native] = [medianOf(name, burst), medianOf('native', burst)];
      return [own.toFixed(3), (own / native).toFixed(3)];
    });
    console.log(`| ${label} | ${cells.join(' | ')} |`);
  }
  console.log(`\nEncodings of one message for four dialects: ${await countEncodings()}`);
}
