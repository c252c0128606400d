import { setTimeout as pause } from 'node:timers/promises';
import { type Driver, startDriver } from './driver/driver.ts';
import { cpuNs } from './processes.ts';
import type { ServerKind, ServerNode } from './servers/servers.ts';

/** CPU time of a server for each member that comes: TCP, upgrade, CONNECT with a token, its room, and what the client is told. */
export interface ConnectSample {
  server: string;
  repetition: number;
  connectUs: number;
}

export interface ConnectOptions {
  repetitions: number;
  /** Members who come before anything is measured, and in each repetition. */
  warmUp: number;
  connections: number;
}

/** Long enough that nobody is pinged meanwhile: a heartbeat is no cost of connecting. */
const PING_INTERVAL_MS = 300_000;
/** How long a server may still work for members that have come, in milliseconds. */
const SETTLE_MS = 200;

/** The servers take turns, with members on top of those that are there. */
export async function measureConnect(
  kinds: readonly ServerKind[],
  options: ConnectOptions,
  progress: (line: string) => void,
): Promise<ConnectSample[]> {
  const samples: ConnectSample[] = [];
  const contenders: { kind: ServerKind; node: ServerNode; driver: Driver; stop: () => Promise<void> }[] = [];
  try {
    for (const kind of kinds) {
      const server = await kind.start({ PING_INTERVAL_MS: String(PING_INTERVAL_MS) });
      const [node] = server.nodes;
      if (!node) throw new Error(`${kind.label} has no node`);
      const driver = startDriver();
      contenders.push({ kind, node, driver, stop: async () => server.stop() });
      await driver.ask('open', { ports: [node.port], dialect: kind.dialect, members: options.warmUp });
    }
    for (let repetition = 1; repetition <= options.repetitions; repetition += 1) {
      for (const { kind, node, driver } of contenders) {
        const before = cpuNs(node.pid);
        await driver.ask('add', { members: options.connections });
        await pause(SETTLE_MS);
        const connectUs = (cpuNs(node.pid) - before) / 1_000 / options.connections;
        samples.push({ server: kind.name, repetition, connectUs });
        progress(`connect, ${repetition}: ${kind.label} ${connectUs.toFixed(0)} µs`);
      }
    }
  } finally {
    await Promise.all(contenders.map(async ({ driver }) => driver.stop()));
    await Promise.all(contenders.map(async ({ stop }) => stop()));
  }
  return samples;
}
