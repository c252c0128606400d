import type { ConnectOptions } from './connect.ts';
import type { MemoryOptions } from './memory.ts';
import type { RouteOptions } from './route.ts';

/** The values by which the two sizes of a run differ. */
export interface Settings {
  repetitions: number;
  /** How long one sample of fan-out takes at least. */
  sampleMs: number;
  warmUpMs: number;
  fanOut: readonly Scenario[];
  fanOutWithRedis: readonly Scenario[];
  peers: readonly Scenario[];
  latencyMs: number;
  memory: MemoryOptions;
  connect: ConnectOptions;
  route: RouteOptions;
}

/** Rooms of one size, and the messages to them. */
export interface Scenario {
  members: number;
  loads: readonly Load[];
}

export interface Load {
  /** Messages published at once; the next ones once every member has them all. */
  burst: number;
  /** Of the whole packet. */
  bytes: number;
}

export const BURST = 20;
export const SMALL = 270;
export const LARGE = 4_096;

const SINGLE_SMALL: Load = { burst: 1, bytes: SMALL };
const BURST_SMALL: Load = { burst: BURST, bytes: SMALL };
const SINGLE_LARGE: Load = { burst: 1, bytes: LARGE };
const BURST_LARGE: Load = { burst: BURST, bytes: LARGE };
const ALL: readonly Load[] = [SINGLE_SMALL, BURST_SMALL, SINGLE_LARGE, BURST_LARGE];

export const FULL: Settings = {
  repetitions: 5,
  sampleMs: 1_500,
  warmUpMs: 1_000,
  fanOut: [100, 1_000, 5_000].map((members) => ({ members, loads: ALL })),
  fanOutWithRedis: [100, 1_000, 5_000].map((members) => ({ members, loads: [SINGLE_SMALL, BURST_SMALL] })),
  peers: [100, 1_000, 5_000].map((members) => ({ members, loads: [SINGLE_SMALL, BURST_SMALL] })),
  latencyMs: 10_000,
  memory: { connections: [1_000, 10_000], repetitions: 5, soonMs: 15_000, calmMs: 90_000 },
  connect: { repetitions: 9, warmUp: 3_000, connections: 1_000 },
  route: {
    repetitions: 5,
    ms: 4_000,
    loads: [
      { writers: 1, groups: 1 },
      { writers: 32, groups: 1 },
      { writers: 32, groups: 32 },
    ],
  },
};

export const QUICK: Settings = {
  repetitions: 3,
  sampleMs: 400,
  warmUpMs: 300,
  fanOut: [{ members: 1_000, loads: [SINGLE_SMALL, BURST_SMALL] }],
  fanOutWithRedis: [{ members: 1_000, loads: [BURST_SMALL] }],
  peers: [{ members: 1_000, loads: [SINGLE_SMALL, BURST_SMALL] }],
  latencyMs: 1_500,
  // One is no median, and nothing is calm so soon.
  memory: { connections: [1_000], repetitions: 1, soonMs: 2_000, calmMs: 4_000 },
  connect: { repetitions: 5, warmUp: 2_000, connections: 500 },
  route: {
    repetitions: 1,
    ms: 1_000,
    loads: [
      { writers: 32, groups: 1 },
      { writers: 32, groups: 4 },
    ],
  },
};

/** The scenarios that were asked for; a size of room or a load that no scenario has is added to none. */
export function narrow(
  settings: Settings,
  only: {
    repetitions: number | undefined;
    members: readonly number[] | undefined;
    bursts: readonly number[] | undefined;
    bytes: readonly number[] | undefined;
  },
): Settings {
  const pick = (scenarios: readonly Scenario[]): Scenario[] =>
    scenarios
      .filter(({ members }) => only.members?.includes(members) ?? true)
      .map(({ members, loads }) => ({
        members,
        loads: loads.filter(
          ({ burst, bytes }) => (only.bursts?.includes(burst) ?? true) && (only.bytes?.includes(bytes) ?? true),
        ),
      }));
  return {
    ...settings,
    repetitions: only.repetitions ?? settings.repetitions,
    memory: { ...settings.memory, repetitions: only.repetitions ?? settings.memory.repetitions },
    connect: { ...settings.connect, repetitions: only.repetitions ?? settings.connect.repetitions },
    route: { ...settings.route, repetitions: only.repetitions ?? settings.route.repetitions },
    fanOut: pick(settings.fanOut),
    fanOutWithRedis: pick(settings.fanOutWithRedis),
    peers: pick(settings.peers),
  };
}
