import { setTimeout as pause } from 'node:timers/promises';
import { startDriver } from './driver/driver.ts';
import { cpuNs, rssBytes } from './processes.ts';
import type { ServerKind } from './servers/servers.ts';

/** What each of many idle connections adds to a server that was started for them. */
export interface MemorySample {
  server: string;
  connections: number;
  repetition: number;
  rssBytesPerConnection: number;
  heapBytesPerConnection: number;
  /** CPU time of the server per connection that came, handshake to room. */
  connectUs: number;
}

export interface MemoryOptions {
  connections: readonly number[];
  repetitions: number;
  /** How long memory is given to settle, at least and at most. */
  settleMs: readonly [number, number];
}

const LOOK_MS = 500;
/** Settled: over so many looks it moved by less than a hundredth. */
const STILL_LOOKS = 6;
const STILL = 0.01;

/** Resolves when resident memory has stopped moving, or there is no more time. */
async function settle(pid: number, [atLeastMs, atMostMs]: readonly [number, number]): Promise<void> {
  const looks: number[] = [];
  for (let waited = 0; waited < atMostMs; waited += LOOK_MS) {
    await pause(LOOK_MS);
    looks.push(rssBytes(pid));
    const recent = looks.slice(-STILL_LOOKS);
    const isStill = recent.length === STILL_LOOKS && Math.max(...recent) - Math.min(...recent) < STILL * recent[0]!;
    if (isStill && waited + LOOK_MS >= atLeastMs) return;
  }
}

async function measure(kind: ServerKind, connections: number, options: MemoryOptions): Promise<MemorySample> {
  const running = await kind.start();
  const driver = startDriver();
  try {
    const [node] = running.nodes;
    if (!node) throw new Error(`${kind.label} has no node`);
    await settle(node.pid, options.settleMs);
    const before = { heap: await node.heapBytes(), rss: rssBytes(node.pid), cpu: cpuNs(node.pid) };
    await driver.ask('open', { ports: [node.port], dialect: kind.dialect, members: connections });
    const connectNs = cpuNs(node.pid) - before.cpu;
    await settle(node.pid, options.settleMs);
    const rss = rssBytes(node.pid);
    const heap = await node.heapBytes();
    return {
      server: kind.name,
      connections,
      repetition: 0,
      rssBytesPerConnection: (rss - before.rss) / connections,
      heapBytesPerConnection: (heap - before.heap) / connections,
      connectUs: connectNs / 1_000 / connections,
    };
  } finally {
    await driver.stop();
    await running.stop();
  }
}

/** A new process for every sample: what one has once taken from the system it seldom gives back. */
export async function measureMemory(
  kinds: readonly ServerKind[],
  options: MemoryOptions,
  progress: (line: string) => void,
): Promise<MemorySample[]> {
  const samples: MemorySample[] = [];
  for (const connections of options.connections) {
    for (let repetition = 1; repetition <= options.repetitions; repetition += 1) {
      for (const kind of kinds) {
        const sample = { ...(await measure(kind, connections, options)), repetition };
        samples.push(sample);
        progress(
          `${connections} connections, ${repetition}: ${kind.label} RSS ${(sample.rssBytesPerConnection / 1_000).toFixed(1)} kB, heap ${(sample.heapBytesPerConnection / 1_000).toFixed(1)} kB each; ${sample.connectUs.toFixed(0)} µs to connect`,
        );
      }
    }
  }
  return samples;
}
