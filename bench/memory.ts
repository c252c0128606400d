import { setTimeout as pause } from 'node:timers/promises';
import { type Driver, startDriver } from './driver/driver.ts';
import { cpuNs, rssBytes } from './processes.ts';
import type { RunningServer, ServerKind, ServerNode } from './servers/servers.ts';

/** Memory that each of many idle connections adds to a server that was started for them. */
export interface MemorySample {
  server: string;
  connections: number;
  repetition: number;
  /** When the last connection had been there for `soonMs`. */
  soonRssBytesPerConnection: number;
  /** After `calmMs`: V8 gives back what it can some time after a process has fallen quiet. */
  rssBytesPerConnection: number;
  heapBytesPerConnection: number;
  /** CPU time of the server per connection that came, handshake to room. */
  connectUs: number;
}

export interface MemoryOptions {
  connections: readonly number[];
  repetitions: number;
  soonMs: number;
  /** How long a process is left alone before it is looked at: before its connections come, and with them. */
  calmMs: number;
}

/** One server, for one number of connections. */
interface Subject {
  kind: ServerKind;
  connections: number;
  server: RunningServer;
  node: ServerNode;
  driver: Driver;
}

async function start(kind: ServerKind, connections: number): Promise<Subject> {
  const server = await kind.start();
  const [node] = server.nodes;
  if (!node) throw new Error(`${kind.label} has no node`);
  return { kind, connections, server, node, driver: startDriver() };
}

/** All of them grow old side by side, because resident memory does not depend on other processes; they connect one after the other. */
async function measureOnce(
  subjects: readonly Subject[],
  options: MemoryOptions,
): Promise<Omit<MemorySample, 'repetition'>[]> {
  await pause(options.calmMs);
  const opened = [];
  for (const { kind, connections, node, driver } of subjects) {
    const before = { heap: await node.heapBytes(), rss: rssBytes(node.pid), cpu: cpuNs(node.pid) };
    await driver.ask('open', { ports: [node.port], dialect: kind.dialect, members: connections });
    const connectNs = cpuNs(node.pid) - before.cpu;
    await pause(options.soonMs);
    opened.push({ kind, connections, node, before, connectNs, soon: rssBytes(node.pid) });
  }
  await pause(options.calmMs);
  return Promise.all(
    opened.map(async ({ kind, connections, node, before, connectNs, soon }) => ({
      server: kind.name,
      connections,
      soonRssBytesPerConnection: (soon - before.rss) / connections,
      rssBytesPerConnection: (rssBytes(node.pid) - before.rss) / connections,
      heapBytesPerConnection: ((await node.heapBytes()) - before.heap) / connections,
      connectUs: connectNs / 1_000 / connections,
    })),
  );
}

/** A new process for every sample: a process seldom gives memory back to the system. */
export async function measureMemory(
  kinds: readonly ServerKind[],
  options: MemoryOptions,
  progress: (line: string) => void,
): Promise<MemorySample[]> {
  const samples: MemorySample[] = [];
  for (let repetition = 1; repetition <= options.repetitions; repetition += 1) {
    const subjects: Subject[] = [];
    try {
      for (const connections of options.connections) {
        for (const kind of kinds) subjects.push(await start(kind, connections));
      }
      for (const sample of await measureOnce(subjects, options)) {
        samples.push({ ...sample, repetition });
        progress(
          `${sample.connections} connections, ${repetition}: ${sample.server} RSS ${(sample.soonRssBytesPerConnection / 1_000).toFixed(1)}, then ${(sample.rssBytesPerConnection / 1_000).toFixed(1)} kB, heap ${(sample.heapBytesPerConnection / 1_000).toFixed(1)} kB each; ${sample.connectUs.toFixed(0)} µs to connect`,
        );
      }
    } finally {
      for (const { driver, server } of subjects) {
        await driver.stop();
        await server.stop();
      }
    }
  }
  return samples;
}
