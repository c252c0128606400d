import type { MonitorNode, MonitorSample } from '@groupcast/shared';
import { describe, expect, test } from 'vitest';
import { createSamples } from '../src/samples.ts';

const sample = (at: number, deliveries: number, lagP99: number | null = null): MonitorSample => {
  return { at, connections: 1, broadcasts: 1, deliveries, lagP50: null, lagP99 };
};
const node = (name: string, ...samples: MonitorSample[]): MonitorNode => ({
  node: name,
  at: 0,
  uptimeSeconds: 0,
  connections: 0,
  services: 0,
  groups: 0,
  failing: [],
  degraded: [],
  samples,
  topGroups: [],
  warnings: [],
});

describe('the samples of all nodes', () => {
  test('of one interval are added up, each once, and the worst lag of them counts', () => {
    const samples = createSamples(5_000);
    samples.add([
      node('a', sample(5_000, 1, 3), sample(10_000, 2)),
      node('b', sample(9_900, 10, 7), sample(4_990, 20, 1)),
    ]);
    samples.add([node('a', sample(10_000, 2))]);
    expect(samples.totals()).toEqual([
      { at: 5, connections: 2, broadcasts: 2, deliveries: 21, lagP50: null, lagP99: 3 },
      { at: 10, connections: 2, broadcasts: 2, deliveries: 12, lagP50: null, lagP99: 7 },
    ]);
  });

  test('that are older than the charts show are forgotten', () => {
    const samples = createSamples(5_000);
    samples.add([node('a', sample(0, 1), sample(905_000, 2))]);
    expect(samples.totals().map(({ at }) => at)).toEqual([905]);
    expect(createSamples(5_000).totals()).toEqual([]);
  });
});
