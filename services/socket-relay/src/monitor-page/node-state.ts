import { groupOfRoom, type MonitorNode, type MonitorSample } from '@groupcast/shared';
import type { RelayMetrics } from '../metrics/relay-metrics.ts';
import type { MonitorFeed } from '../monitor/monitor-feed.ts';
import type { RelayServer } from '../sessions/session.ts';
import { type Bucket, bucketsSince, quantileMs } from './lag-quantiles.ts';

/** Length of the interval of a sample, in milliseconds. */
export const SAMPLE_MS = 5_000;
/** Samples that are kept: fifteen minutes of them. */
export const MAX_SAMPLES = 180;
/** Groups that a node names. */
const TOP_GROUPS = 20;
/** How long the sizes of groups are taken for what they are, in milliseconds: finding them looks at every group. */
const GROUPS_MS = 2_000;

/** How this node is, now and over the last minutes. */
export interface NodeState {
  describe(samples: number): Promise<MonitorNode>;
  stop(): void;
}

interface Counts {
  broadcasts: number;
  deliveries: number;
  lags: Bucket[];
}

const sum = (values: readonly { value: number }[]): number => values.reduce((total, { value }) => total + value, 0);

export function createNodeState(
  deps: {
    io: RelayServer;
    node: string;
    metrics: RelayMetrics;
    monitor: Pick<MonitorFeed, 'warnings'>;
    /** Returns the parts of this process that fail, as `/readyz` names them. */
    report: () => { failing: string[]; degraded: string[] };
  },
  { sampleMs = SAMPLE_MS }: { sampleMs?: number } = {},
): NodeState {
  const { io, node, metrics } = deps;
  const startedAt = performance.now();
  const samples: MonitorSample[] = [];
  let last: Counts | undefined;
  let timer: NodeJS.Timeout | undefined;
  let sizes: { at: number; groups: number; top: MonitorNode['topGroups'] } | undefined;

  async function connections(): Promise<{ users: number; services: number }> {
    const { values } = await metrics.connections.get();
    const all = sum(values);
    const users = sum(values.filter(({ labels }) => labels.type === 'user'));
    return { users, services: all - users };
  }

  async function count(): Promise<Counts> {
    const [broadcasts, deliveries, lags] = await Promise.all([
      metrics.broadcasts.get(),
      metrics.deliveries.get(),
      metrics.lagBuckets('written'),
    ]);
    return { broadcasts: sum(broadcasts.values), deliveries: sum(deliveries.values), lags };
  }

  async function sample(): Promise<void> {
    const [counts, { users }] = await Promise.all([count(), connections()]);
    const since = bucketsSince(last?.lags, counts.lags);
    const perSecond = (name: 'broadcasts' | 'deliveries'): number =>
      ((counts[name] - (last?.[name] ?? 0)) * 1_000) / sampleMs;
    samples.push({
      at: Date.now(),
      connections: users,
      broadcasts: perSecond('broadcasts'),
      deliveries: perSecond('deliveries'),
      lagP50: quantileMs(since, 0.5),
      lagP99: quantileMs(since, 0.99),
    });
    last = counts;
    if (samples.length > MAX_SAMPLES) samples.shift();
  }

  /** Intervals end at the same moments on every node, as far as their clocks agree, so that their samples can be added up. */
  function sampleAtNextBound(): void {
    timer = setTimeout(
      () => {
        void sample();
        sampleAtNextBound();
      },
      sampleMs - (Date.now() % sampleMs),
    );
    timer.unref();
  }
  sampleAtNextBound();

  function measureGroups(): NonNullable<typeof sizes> {
    const at = performance.now();
    if (sizes && at - sizes.at < GROUPS_MS) return sizes;
    const found: MonitorNode['topGroups'] = [];
    for (const [room, ids] of io.of('/').adapter.rooms) {
      const groupId = groupOfRoom(room);
      if (groupId !== undefined) found.push({ groupId, connections: ids.size });
    }
    const top = found.toSorted((a, b) => b.connections - a.connections).slice(0, TOP_GROUPS);
    sizes = { at, groups: found.length, top };
    return sizes;
  }

  return {
    async describe(wanted) {
      const { users, services } = await connections();
      const { groups, top } = measureGroups();
      return {
        node,
        at: Date.now(),
        uptimeSeconds: Math.floor((performance.now() - startedAt) / 1_000),
        connections: users,
        services,
        groups,
        ...deps.report(),
        samples: wanted > 0 ? samples.slice(-wanted) : [],
        topGroups: top,
        warnings: deps.monitor.warnings(),
      };
    },
    stop: () => clearTimeout(timer),
  };
}
