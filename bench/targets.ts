import type { FanOutSample } from './fan-out.ts';
import { BURST, SMALL } from './settings.ts';
import { median } from './statistics.ts';
import type { Results } from './suite.ts';

/** A ratio that the project has set itself, and its value in this run. */
export interface Comparison {
  measure: string;
  groupcast: number;
  other: number;
  otherServer: string;
  ratio: number;
  target: string;
  reached: boolean;
}

interface Target<T> {
  measure: string;
  groupcast: string;
  other: string;
  of: (sample: T) => number;
  /** The least that the other's over Groupcast's may be, or the most that Groupcast's over the other's may be. */
  bound: { atLeast: number } | { atMost: number };
  from: readonly T[];
}

/** The repetitions of `server`, in their order. */
function valuesOf<T extends { server: string }>({ from, of }: Target<T>, server: string): number[] {
  return from.filter((sample) => sample.server === server).map(of);
}

/** The median of the ratios of one repetition each: other work of the machine falls on both sides. */
export function ratioOf(over: readonly number[], under: readonly number[]): number {
  return median(over.slice(0, under.length).map((value, n) => value / (under[n] ?? Number.NaN)));
}

function compare<T extends { server: string }>(target: Target<T>): Comparison[] {
  const groupcast = valuesOf(target, target.groupcast);
  const other = valuesOf(target, target.other);
  if (groupcast.length === 0 || other.length === 0) return [];
  const { bound } = target;
  const isAtLeast = 'atLeast' in bound;
  const ratio = isAtLeast ? ratioOf(other, groupcast) : ratioOf(groupcast, other);
  return [
    {
      measure: target.measure,
      groupcast: median(groupcast),
      other: median(other),
      otherServer: target.other,
      ratio,
      target: isAtLeast ? `other ÷ Groupcast ≥ ${bound.atLeast}` : `Groupcast ÷ other ≤ ${bound.atMost}`,
      reached: isAtLeast ? ratio >= bound.atLeast : ratio <= bound.atMost,
    },
  ];
}

/** The measured values that have a target. */
export function comparisons({ fanOut, latency, memory, connect }: Results): Comparison[] {
  const cpu = (
    members: number,
    burst: number,
    pair: Pick<Target<FanOutSample>, 'groupcast' | 'other' | 'bound'>,
    where = '',
  ): Comparison[] =>
    compare({
      ...pair,
      measure: `${burst === 1 ? 'one at a time' : `bursts of ${burst}`}, ${members.toLocaleString('en-US')} members${where}: CPU µs per delivery`,
      of: ({ cpuUsPerDelivery }) => cpuUsPerDelivery,
      from: fanOut.filter((sample) => sample.members === members && sample.burst === burst && sample.bytes === SMALL),
    });
  const inMemory = { groupcast: 'groupcast', other: 'stock' };

  return [
    ...cpu(1_000, BURST, { ...inMemory, bound: { atLeast: 15 } }),
    ...[1_000, 5_000].flatMap((members) => cpu(members, 1, { ...inMemory, bound: { atLeast: 1.5 } })),
    ...[100, 1_000, 5_000].flatMap((members) =>
      cpu(members, 1, { groupcast: 'groupcast', other: 'ws', bound: { atMost: 1.1 } }),
    ),
    ...cpu(
      1_000,
      BURST,
      { groupcast: 'groupcast-redis', other: 'stock-sharded', bound: { atLeast: 10 } },
      ', 2 nodes with Redis',
    ),
    ...compare({
      ...inMemory,
      measure: 'RSS bytes per idle connection, 10,000 connections, in the end',
      of: ({ rssBytesPerConnection }) => rssBytesPerConnection,
      bound: { atLeast: 1.4 },
      from: memory.filter(({ connections }) => connections === 10_000),
    }),
    ...['stock', 'stock-verifying'].flatMap((other) =>
      compare({
        groupcast: 'groupcast',
        other,
        measure: 'CPU µs to connect, with a token',
        of: ({ connectUs }) => connectUs,
        bound: { atMost: 1 },
        from: connect,
      }),
    ),
    ...compare({
      ...inMemory,
      measure: 'publish to last of 1,000 members, 20 messages/s: p99 ms',
      of: ({ p99Ms }) => p99Ms,
      bound: { atMost: 0.8 },
      from: latency,
    }),
  ];
}
