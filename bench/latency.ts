import { setTimeout as pause } from 'node:timers/promises';
import { startDriver } from './driver/driver.ts';
import type { ServerKind } from './servers/servers.ts';
import { SMALL } from './settings.ts';
import { type Spread, spreadOf } from './statistics.ts';

/** From before a message is published to when the last member has it. */
export interface LatencySample extends Spread {
  server: string;
  repetition: number;
  messages: number;
}

export const LATENCY_MEMBERS = 1_000;
export const LATENCY_MESSAGES_PER_SECOND = 20;
const SETTLE_MS = 1_000;
const WARM_UP_MS = 1_000;

/** Messages leave on time, whether or not the members have the ones before. */
export async function measureLatency(
  kinds: readonly ServerKind[],
  options: { repetitions: number; ms: number; progress: (line: string) => void },
): Promise<LatencySample[]> {
  const samples: LatencySample[] = [];
  const contenders = await Promise.all(
    kinds.map(async (kind) => ({ kind, running: await kind.start(), driver: startDriver() })),
  );
  const load = { perSecond: LATENCY_MESSAGES_PER_SECOND, bytes: SMALL };
  try {
    for (const { kind, running, driver } of contenders) {
      const ports = running.nodes.map(({ port }) => port);
      await driver.ask('open', { ports, dialect: kind.dialect, members: LATENCY_MEMBERS });
    }
    await pause(SETTLE_MS);
    for (const { driver } of contenders) await driver.ask('pace', { ...load, ms: WARM_UP_MS });
    for (let repetition = 1; repetition <= options.repetitions; repetition += 1) {
      for (const { kind, driver } of contenders) {
        const { latenciesMs } = await driver.ask('pace', { ...load, ms: options.ms });
        const spread = spreadOf(latenciesMs);
        samples.push({ server: kind.name, repetition, messages: latenciesMs.length, ...spread });
        options.progress(
          `latency, ${repetition}: ${kind.label} p50 ${spread.p50Ms.toFixed(1)}, p99 ${spread.p99Ms.toFixed(1)}, max ${spread.maxMs.toFixed(1)} ms`,
        );
      }
    }
  } finally {
    await Promise.all(contenders.map(async ({ driver }) => driver.stop()));
    await Promise.all(contenders.map(async ({ running }) => running.stop()));
  }
  return samples;
}
