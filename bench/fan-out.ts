import { setTimeout as pause } from 'node:timers/promises';
import type { FloodResult } from './driver/commands.ts';
import { type Driver, startDriver } from './driver/driver.ts';
import type { RunningServer, ServerKind } from './servers/servers.ts';
import type { Load, Scenario } from './settings.ts';

/** One measurement: a server under one load for a second or two. */
export interface FanOutSample extends Load {
  server: string;
  members: number;
  repetition: number;
  /** CPU time of all nodes of the server, user and system. */
  cpuUsPerDelivery: number;
  driverUsPerDelivery: number;
  deliveriesPerSecond: number;
}

interface Contender {
  kind: ServerKind;
  running: RunningServer;
  driver: Driver;
}

/** How long a server may still be busy with members that have just come, in milliseconds; that is no cost of the fan-out. */
const SETTLE_MS = 1_000;
/** A burst of the second driver takes ten times as long, and a server needs as many of them until it is compiled. */
const SECOND_WARM_UP_FACTOR = 10;

async function open(kind: ServerKind, members: number, second: boolean): Promise<Contender> {
  const running = await kind.start();
  const driver = startDriver();
  await driver.ask('open', { ports: running.nodes.map(({ port }) => port), dialect: kind.dialect, members, second });
  return { kind, running, driver };
}

async function flood({ running, driver }: Contender, load: Load, ms: number): Promise<FloodResult> {
  return driver.ask('flood', { ...load, ms, pids: running.nodes.map(({ pid }) => pid) });
}

/** The servers take turns, load by load, so that other work of the machine falls on all of them. */
export async function measureFanOut(
  kinds: readonly ServerKind[],
  { members, loads }: Scenario,
  options: {
    repetitions: number;
    sampleMs: number;
    warmUpMs: number;
    /** Whether the second driver drives. */
    second: boolean;
    progress: (line: string) => void;
  },
): Promise<FanOutSample[]> {
  const samples: FanOutSample[] = [];
  const contenders: Contender[] = [];
  try {
    for (const kind of kinds) {
      options.progress(`${members} members of ${kind.label}`);
      contenders.push(await open(kind, members, options.second));
    }
    await pause(SETTLE_MS);
    const warmUpMs = options.warmUpMs * (options.second ? SECOND_WARM_UP_FACTOR : 1);
    for (const load of loads) {
      for (const contender of contenders) await flood(contender, load, warmUpMs);
      for (let repetition = 1; repetition <= options.repetitions; repetition += 1) {
        for (const contender of contenders) {
          const { messages, wallMs, cpuNs, driverCpuNs } = await flood(contender, load, options.sampleMs);
          const deliveries = messages * members;
          const sample: FanOutSample = {
            server: contender.kind.name,
            members,
            ...load,
            repetition,
            cpuUsPerDelivery: cpuNs.reduce((sum, ns) => sum + ns, 0) / 1_000 / deliveries,
            driverUsPerDelivery: driverCpuNs / 1_000 / deliveries,
            deliveriesPerSecond: (deliveries / wallMs) * 1_000,
          };
          samples.push(sample);
          options.progress(
            `${members} members, ${load.burst} × ${load.bytes} B, ${repetition}: ${contender.kind.label} ${sample.cpuUsPerDelivery.toFixed(2)} µs (driver ${sample.driverUsPerDelivery.toFixed(2)}), ${Math.round(sample.deliveriesPerSecond)}/s`,
          );
        }
      }
    }
  } finally {
    await Promise.all(contenders.map(async ({ driver }) => driver.stop()));
    await Promise.all(contenders.map(async ({ running }) => running.stop()));
  }
  return samples;
}
