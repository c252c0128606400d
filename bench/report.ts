import type { FanOutSample } from './fan-out.ts';
import type { Machine } from './machine.ts';
import { IN_MEMORY, WITH_REDIS } from './servers/servers.ts';
import { median } from './statistics.ts';
import type { Results } from './suite.ts';

const LABELS = new Map([...IN_MEMORY, ...WITH_REDIS].map(({ name, label }) => [name, label]));

export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  return [line(head), `|${head.map(() => '---').join('|')}|`, ...rows.map(line)].join('\n');
}

/** Three digits, more where the number has them before its point. */
function digits(value: number): string {
  if (!Number.isFinite(value)) return '–';
  const decimals = value >= 100 ? 0 : value >= 10 ? 1 : 2;
  return value.toLocaleString('en-US', { minimumFractionDigits: decimals, maximumFractionDigits: decimals });
}

function describe({ cpu, cores, memoryGb, kernel, pinning, versions }: Machine): string {
  const names = Object.entries(versions).map(([name, version]) => `${name} ${version}`);
  return `Machine: ${cores} cores (${cpu}), ${memoryGb} GB, Linux ${kernel}, ${names.join(', ')}; ${pinning}.`;
}

const loadOf = ({ members, burst, bytes }: FanOutSample): string =>
  `${members.toLocaleString('en-US')} members, ${burst === 1 ? 'one' : burst} at a time, ${bytes.toLocaleString('en-US')} bytes`;

function fanOutTable(samples: readonly FanOutSample[], of: (sample: FanOutSample) => number): string {
  const servers = [...new Set(samples.map(({ server }) => server))];
  const loads = [...new Set(samples.map(loadOf))];
  const rows = loads.map((load) => [
    load,
    ...servers.map((server) =>
      digits(median(samples.filter((sample) => sample.server === server && loadOf(sample) === load).map(of))),
    ),
  ]);
  return table(['', ...servers.map((server) => LABELS.get(server) ?? server)], rows);
}

function fanOut(samples: readonly FanOutSample[]): string[] {
  const sections: string[] = [];
  for (const [title, kinds] of [
    ['Fan-out in memory', IN_MEMORY],
    ['Fan-out with Redis, 2 nodes, half of the members on each', WITH_REDIS],
  ] as const) {
    const these = samples.filter(({ server }) => kinds.some(({ name }) => name === server));
    if (these.length === 0) continue;
    sections.push(
      `## ${title}\n\nCPU time of the server (all nodes) per delivery, in µs:`,
      fanOutTable(these, ({ cpuUsPerDelivery }) => cpuUsPerDelivery),
      'Deliveries per second:',
      fanOutTable(these, ({ deliveriesPerSecond }) => deliveriesPerSecond),
      'CPU time of the driver per delivery, in µs. Where it is above the server’s, the driver is what limits the deliveries per second:',
      fanOutTable(these, ({ driverUsPerDelivery }) => driverUsPerDelivery),
    );
  }
  return sections;
}

/** Everything that was measured, as Markdown. */
export function report({ machine, settings, fanOut: samples }: Results): string {
  return [
    describe(machine),
    `Medians of ${settings.repetitions} repetitions in which the servers take turns.`,
    ...fanOut(samples),
  ].join('\n\n');
}
