import { type ConnectSample, measureConnect } from './connect.ts';
import { type FanOutSample, measureFanOut } from './fan-out.ts';
import { type LatencySample, measureLatency } from './latency.ts';
import { describeMachine, type Machine } from './machine.ts';
import { type MemorySample, measureMemory } from './memory.ts';
import { measureRoute, type RouteSample } from './route.ts';
import { PEERS } from './servers/peers.ts';
import { IN_MEMORY, type ServerKind, VERIFYING, WITH_REDIS } from './servers/servers.ts';
import type { Scenario, Settings } from './settings.ts';

export interface Results {
  machine: Machine;
  settings: Settings;
  fanOut: FanOutSample[];
  /** Of Groupcast, again, and of others in turn with it. */
  peers: FanOutSample[];
  latency: LatencySample[];
  memory: MemorySample[];
  connect: ConnectSample[];
  route: RouteSample[];
  /** The measurements that were not possible here, and why. */
  skipped: string[];
  /** The driver of fan-out. */
  driver: 'first' | 'second';
  /** Measures that ended early: a delivery was lost, doubled or out of place, or a process gave up. */
  failed: string[];
}

export interface Suite {
  settings: Settings;
  /** Names of servers to be measured; all without. */
  servers?: readonly string[] | undefined;
  /** Whether the second driver drives fan-out: it speaks with Groupcast and Socket.IO. */
  second: boolean;
  results: Results;
  progress: (line: string) => void;
}

export function createSuite(options: Omit<Suite, 'results'>): Suite {
  const { settings } = options;
  const machine = describeMachine();
  const results = {
    machine,
    settings,
    fanOut: [],
    peers: [],
    latency: [],
    memory: [],
    connect: [],
    route: [],
    skipped: [],
    failed: [],
    driver: options.second ? ('second' as const) : ('first' as const),
  };
  return { ...options, results };
}

function chosen(suite: Suite, kinds: readonly ServerKind[]): readonly ServerKind[] {
  return kinds.filter(({ name }) => suite.servers?.includes(name) ?? true);
}

async function fanOut(suite: Suite, kinds: readonly ServerKind[], scenarios: readonly Scenario[]): Promise<void> {
  const { settings, results, progress, second } = suite;
  const speaking = chosen(suite, kinds).filter(({ dialect }) => !second || dialect !== 'plain');
  for (const scenario of scenarios) {
    results.fanOut.push(...(await measureFanOut(speaking, scenario, { ...settings, second, progress })));
  }
}

/** Peers that are installed; the others are named in the report. */
function installed({ results }: Suite): readonly ServerKind[] {
  return PEERS.filter(({ label, install, findVersion }) => {
    const found = findVersion();
    if (found === undefined) results.skipped.push(`${label} is not installed (${install})`);
    else results.machine.versions[label] = found;
    return found !== undefined;
  });
}

/** The servers that people would choose between: no floor, and no switch of ours. */
const PRODUCTS = IN_MEMORY.filter(({ name }) => name === 'groupcast' || name === 'stock');

/** The measurements, in the order in which they run. Each adds to the results. */
export const MEASURES: Readonly<Record<string, (suite: Suite) => Promise<void>>> = {
  'fan-out': async (suite) => fanOut(suite, IN_MEMORY, suite.settings.fanOut),
  redis: async (suite) => fanOut(suite, WITH_REDIS, suite.settings.fanOutWithRedis),
  async latency(suite) {
    const { settings, results, progress } = suite;
    const options = { repetitions: settings.repetitions, ms: settings.latencyMs, progress };
    results.latency.push(...(await measureLatency(chosen(suite, PRODUCTS), options)));
  },
  async memory(suite) {
    const { settings, results, progress } = suite;
    results.memory.push(...(await measureMemory(chosen(suite, PRODUCTS), settings.memory, progress)));
  },
  async connect(suite) {
    const { settings, results, progress } = suite;
    results.connect.push(
      ...(await measureConnect(chosen(suite, [...PRODUCTS, VERIFYING]), settings.connect, progress)),
    );
  },
  async peers(suite) {
    const { settings, results, progress } = suite;
    const peers = chosen(suite, installed(suite));
    if (peers.length === 0) return;
    const kinds = [...IN_MEMORY.slice(0, 1), ...peers];
    for (const scenario of settings.peers) {
      results.peers.push(...(await measureFanOut(kinds, scenario, { ...settings, second: false, progress })));
    }
  },
  async route({ settings, results, progress }) {
    results.route.push(...(await measureRoute(settings.route, progress)));
  },
};
