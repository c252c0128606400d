import { createApiMetrics } from '../../services/api/src/metrics.ts';
import { createRelayMetrics } from '../../services/socket-relay/src/metrics/relay-metrics.ts';
import { METRIC_LABELS } from './metric-labels.ts';
import { paragraph, table } from './pages.ts';

export interface Metric {
  name: string;
  help: string;
  kind: string;
  labels: string[];
}

/** Fields that prom-client keeps of a metric, and its types do not show. */
interface Registered {
  name: string;
  help: string;
  labelNames: string[];
  constructor: { name: string };
}

/** Every metric of Groupcast's own that a registry holds, by name. */
function registered(registry: { getMetricsAsArray(): unknown[] }): Metric[] {
  return (registry.getMetricsAsArray() as Registered[])
    .filter(({ name }) => name.startsWith('groupcast_'))
    .map((metric) => ({
      name: metric.name,
      help: metric.help,
      kind: metric.constructor.name.toLowerCase(),
      labels: metric.labelNames,
    }))
    .toSorted((a, b) => (a.name < b.name ? -1 : 1));
}

export function metrics(): { relay: Metric[]; api: Metric[] } {
  const relay = createRelayMetrics();
  relay.watchLog(() => undefined);
  relay.watchKeys(() => 0);
  relay.watchWrites(() => ({}));
  relay.watchEncodings(() => ({}));
  relay.watchThrottle({ waiting: () => 0, lagMs: () => 0 });
  relay.watchSendBacklog(() => ({ connections: 0, bytes: 0 }));
  relay.watchBackEnd(() => ({}));
  relay.watchReadiness(() => ({ failing: [], degraded: [] }));
  const api = createApiMetrics(async () => ({ events: 0, groups: 0, oldestSeconds: 0 }));
  api.watchKeys(() => 0);
  api.watchRelay(() => true);
  return { relay: registered(relay.registry), api: registered(api.registry) };
}

/** A list of what each label of a metric may be. Throws where that is not written down, or no longer fits. */
function labelsOf({ name, labels }: Metric): string[] {
  const known = METRIC_LABELS[name] ?? {};
  const faults = [
    ...labels.filter((label) => !known[label]),
    ...Object.keys(known).filter((label) => !labels.includes(label)),
  ];
  if (faults.length > 0) throw new Error(`metric-labels.ts: ${name} and its labels differ in ${faults.join(', ')}`);
  const items = Object.entries(known).map(([label, values]) => {
    const shown = typeof values === 'string' ? values : values.map((value) => `\`${value}\``).join(', ');
    return paragraph(`- \`${label}\`: ${shown}`.split(' ')).replaceAll('\n', '\n  ');
  });
  return items.length > 0 ? [items.join('\n')] : [];
}

function section(title: string, list: readonly Metric[]): string {
  const codes = (labels: readonly string[]): string => labels.map((label) => `\`${label}\``).join(', ');
  const rows = list.map(({ name, kind, labels }) => [`\`${name}\``, kind, codes(labels)]);
  const definitions = list.map((metric) => {
    const { name, help } = metric;
    return [`### ${name}`, paragraph(`${help}.`.split(' ')), ...labelsOf(metric)].join('\n\n');
  });
  return [`## ${title}`, table(['metric', 'kind', 'labels'], rows), ...definitions].join('\n\n');
}

export function metricsSections(): string {
  const { relay, api } = metrics();
  return `\n${section('Relay', relay)}\n\n${section('API', api)}\n`;
}
