import type { ConnectSample } from './connect.ts';
import type { FanOutSample } from './fan-out.ts';
import { LATENCY_MEMBERS, LATENCY_MESSAGES_PER_SECOND, type LatencySample } from './latency.ts';
import type { Machine } from './machine.ts';
import { digits, table } from './markdown.ts';
import type { MemoryOptions, MemorySample } from './memory.ts';
import { ROUTE_MEMBERS, type RouteSample } from './route.ts';
import { PEERS } from './servers/peers.ts';
import { IN_MEMORY, type ServerKind, VERIFYING, WITH_REDIS } from './servers/servers.ts';
import { median, type Spread } from './statistics.ts';
import type { Results } from './suite.ts';
import { comparisons, ratioOf } from './targets.ts';

const LABELS = new Map([...IN_MEMORY, VERIFYING, ...WITH_REDIS, ...PEERS].map(({ name, label }) => [name, label]));

export function describe({ cpu, cores, memoryGb, kernel, pinning, versions }: Machine): string {
  const names = Object.entries(versions).map(([name, version]) => `${name} ${version}`);
  return `Machine: ${cores} cores (${cpu}), ${memoryGb} GB, Linux ${kernel}, ${names.join(', ')}; ${pinning}.`;
}

const loadOf = ({ members, burst, bytes }: FanOutSample): string =>
  `${members.toLocaleString('en-US')} members, ${burst === 1 ? 'one' : burst} at a time, ${bytes.toLocaleString('en-US')} bytes`;

/** Samples of the same thing by different servers: a row of cells, one per server. */
function cells<T extends { server: string }>(
  samples: readonly T[],
  servers: readonly string[],
  of: (sample: T) => number,
  base?: string,
): string[] {
  const valuesOf = (server: string): number[] => samples.filter((sample) => sample.server === server).map(of);
  const baseline = base === undefined ? [] : valuesOf(base);
  return servers.map((server) => {
    const values = valuesOf(server);
    const ratio = server === base || baseline.length === 0 ? '' : ` (${digits(ratioOf(values, baseline))}×)`;
    return values.length === 0 ? '–' : `${digits(median(values))}${ratio}`;
  });
}

const distinct = <T>(values: readonly T[]): T[] => [...new Set(values)];
const labelsOf = (servers: readonly string[]): string[] => servers.map((server) => LABELS.get(server) ?? server);

function fanOut(title: string, samples: readonly FanOutSample[]): string[] {
  const servers = distinct(samples.map(({ server }) => server));
  if (servers.length === 0) return [];
  const tableOf = (of: (sample: FanOutSample) => number, base?: string): string =>
    table(
      ['', ...labelsOf(servers)],
      distinct(samples.map(loadOf)).map((load) => {
        const these = samples.filter((sample) => loadOf(sample) === load);
        return [load, ...cells(these, servers, of, base)];
      }),
    );
  const groupcast = servers.find((server) => server.startsWith('groupcast'));
  return [
    `## ${title}`,
    'CPU time of the server (all nodes) per delivery, in µs, and as a multiple of Groupcast’s:',
    tableOf(({ cpuUsPerDelivery }) => cpuUsPerDelivery, groupcast),
    'Deliveries per second:',
    tableOf(({ deliveriesPerSecond }) => deliveriesPerSecond),
    'CPU time of the driver per delivery, in µs. Above the server’s, it is the driver that limits the deliveries per second:',
    tableOf(({ driverUsPerDelivery }) => driverUsPerDelivery),
  ];
}

function latency(samples: readonly LatencySample[]): string[] {
  if (samples.length === 0) return [];
  const rows = distinct(samples.map(({ server }) => server)).map((server) => {
    const these = samples.filter((sample) => sample.server === server);
    return [LABELS.get(server) ?? server, ...spread(these)];
  });
  return [
    `## Latency\n\nFrom before a publish to when the last of ${LATENCY_MEMBERS.toLocaleString('en-US')} members has it, ${LATENCY_MESSAGES_PER_SECOND} messages a second:`,
    table(['', 'p50, ms', 'p99, ms', 'max, ms'], rows),
  ];
}

/** The median of the percentiles of the repetitions. */
function spread(samples: readonly Spread[]): string[] {
  return (['p50Ms', 'p99Ms', 'maxMs'] as const).map((name) => digits(median(samples.map((sample) => sample[name]))));
}

function memory(samples: readonly MemorySample[], { soonMs, calmMs }: MemoryOptions): string[] {
  if (samples.length === 0) return [];
  const servers = distinct(samples.map(({ server }) => server));
  const rows = distinct(samples.map(({ connections }) => connections)).flatMap((connections) => {
    const these = samples.filter((sample) => sample.connections === connections);
    const count = connections.toLocaleString('en-US');
    const row = (what: string, of: (sample: MemorySample) => number): string[] => [
      `${count} connections: ${what}`,
      ...cells(these, servers, of, 'groupcast'),
    ];
    return [
      row(`RSS after ${soonMs / 1_000} s, kB each`, (sample) => sample.soonRssBytesPerConnection / 1_000),
      row(
        `RSS after ${(soonMs + calmMs) / 1_000} s or more, kB each`,
        (sample) => sample.rssBytesPerConnection / 1_000,
      ),
      row('heap in use, kB each', ({ heapBytesPerConnection }) => heapBytesPerConnection / 1_000),
      row('CPU to connect, µs each', ({ connectUs }) => connectUs),
    ];
  });
  return [
    '## Idle connections\n\nWhat each adds to a process of their own, which was left alone before as long as after:',
    table(['', ...labelsOf(servers)], rows),
  ];
}

function connect(samples: readonly ConnectSample[]): string[] {
  if (samples.length === 0) return [];
  const servers = distinct(samples.map(({ server }) => server));
  return [
    '## Connecting\n\nCPU time of the server for each member who comes, with a token, to the room of those before:',
    table(
      ['', ...labelsOf(servers)],
      [['CPU, µs', ...cells(samples, servers, ({ connectUs }) => connectUs, 'groupcast')]],
    ),
  ];
}

function route(samples: readonly RouteSample[]): string[] {
  if (samples.length === 0) return [];
  const kindOf = ({ database, writers, groups }: RouteSample): string =>
    `${database}: ${writers === 1 ? '1 writer' : `${writers} writers`}, ${groups === 1 ? '1 group' : `${groups} groups`}`;
  const rows = distinct(samples.map(kindOf)).map((kind) => {
    const these = samples.filter((sample) => kindOf(sample) === kind);
    const of = (pick: (sample: RouteSample) => number): string => digits(median(these.map(pick)));
    return [
      kind,
      of(({ messagesPerSecond }) => messagesPerSecond),
      ...spread(these),
      of(({ apiUsPerMessage }) => apiUsPerMessage),
      of(({ relayUsPerMessage }) => relayUsPerMessage),
    ];
  });
  return [
    `## The whole route\n\n\`POST\` to one API, one relay, ${ROUTE_MEMBERS} members in each group; each writer posts its next message when the last was answered. No process is pinned.`,
    table(
      ['', 'messages/s', 'p50, ms', 'p99, ms', 'max, ms', 'API, CPU µs per message', 'relay, CPU µs per message'],
      rows,
    ),
  ];
}

function targets(results: Results): string[] {
  const rows = comparisons(results).map(({ measure, groupcast, other, otherServer, ratio, target, reached }) => [
    measure,
    digits(groupcast),
    `${LABELS.get(otherServer) ?? otherServer}: ${digits(other)}`,
    digits(ratio),
    target,
    reached ? 'yes' : 'no',
  ]);
  if (rows.length === 0) return [];
  return ['## Targets', table(['measure', 'Groupcast', 'other', 'ratio', 'target', 'reached'], rows)];
}

function isOf(kinds: readonly ServerKind[]): (sample: FanOutSample) => boolean {
  return ({ server }) => kinds.some(({ name }) => name === server);
}

/** Everything that was measured, as Markdown. */
export function report(results: Results): string {
  const { machine, settings, skipped, failed } = results;
  const counts = [
    `${settings.repetitions} repetitions in which the servers take turns`,
    ...(results.memory.length > 0 ? [`${settings.memory.repetitions} of memory`] : []),
    ...(results.connect.length > 0 ? [`${settings.connect.repetitions} of connecting`] : []),
    ...(results.route.length > 0 ? [`${settings.route.repetitions} of the route`] : []),
  ];
  return [
    describe(machine),
    `Medians of ${counts.join(', ')}. A ratio is the median of the ratios within each repetition. Every delivery was checked: once, in its place.`,
    ...(results.driver === 'second'
      ? ['Fan-out was driven by the second driver: a publisher of socket.io-client, members of ws.']
      : []),
    ...fanOut('Fan-out in memory', results.fanOut.filter(isOf(IN_MEMORY))),
    ...fanOut('Fan-out with Redis, 2 nodes, half of the members on each', results.fanOut.filter(isOf(WITH_REDIS))),
    ...fanOut('Fan-out beside others', results.peers),
    ...latency(results.latency),
    ...memory(results.memory, settings.memory),
    ...connect(results.connect),
    ...route(results.route),
    ...(failed.length > 0 ? [`Failed: ${failed.join('; ')}.`] : []),
    ...(skipped.length > 0 ? [`Skipped: ${skipped.join('; ')}.`] : []),
    ...targets(results),
  ].join('\n\n');
}
