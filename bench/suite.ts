import { type FanOutSample, measureFanOut } from './fan-out.ts';
import { type LatencySample, measureLatency } from './latency.ts';
import { describeMachine, type Machine } from './machine.ts';
import { type MemorySample, measureMemory } from './memory.ts';
import { measureRoute, type RouteSample } from './route.ts';
import { IN_MEMORY, type ServerKind, WITH_REDIS } from './servers/servers.ts';
import type { Scenario, Settings } from './settings.ts';

export interface Results {
  machine: Machine;
  settings: Settings;
  fanOut: FanOutSample[];
  latency: LatencySample[];
  memory: MemorySample[];
  route: RouteSample[];
  /** What could not be measured here, and why. */
  skipped: string[];
}

export interface Suite {
  settings: Settings;
  /** Names of servers to be measured; all without. */
  servers?: readonly string[] | undefined;
  results: Results;
  progress: (line: string) => void;
}

export function createSuite(options: Omit<Suite, 'results'>): Suite {
  return {
    ...options,
    results: {
      machine: describeMachine(),
      settings: options.settings,
      fanOut: [],
      latency: [],
      memory: [],
      route: [],
      skipped: [],
    },
  };
}

function chosen(suite: Suite, kinds: readonly ServerKind[]): readonly ServerKind[] {
  return kinds.filter(({ name }) => suite.servers?.includes(name) ?? true);
}

async function fanOut(suite: Suite, kinds: readonly ServerKind[], scenarios: readonly Scenario[]): Promise<void> {
  const { settings, results, progress } = suite;
  for (const scenario of scenarios) {
    results.fanOut.push(...(await measureFanOut(chosen(suite, kinds), scenario, { ...settings, progress })));
  }
}

/** The servers that people would choose between: no floor, and no switch of ours. */
const PRODUCTS = IN_MEMORY.filter(({ name }) => name === 'groupcast' || name === 'stock');

/** Each adds to the results what it measured. In the order in which they run. */
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
  async route({ settings, results, progress }) {
    results.route.push(...(await measureRoute(settings.route, progress)));
  },
};
