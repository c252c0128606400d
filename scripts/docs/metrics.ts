import { createApiMetrics } from '../../services/api/src/metrics.ts';
import { createRelayMetrics } from '../../services/socket-relay/src/metrics.ts';
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
  relay.watchKeys(() => 0);
  relay.watchWrites(() => ({}));
  relay.watchEncodings(() => ({}));
  relay.watchThrottle({ waiting: () => 0, lagMs: () => 0 });
  relay.watchSendBacklog(() => ({ connections: 0, bytes: 0 }));
  relay.watchBackEnd(() => ({}));
  const api = createApiMetrics(async () => ({ events: 0, groups: 0, oldestSeconds: 0 }));
  api.watchKeys(() => 0);
  return { relay: registered(relay.registry), api: registered(api.registry) };
}

function section(title: string, list: readonly Metric[]): string {
  const codes = (labels: readonly string[]): string => labels.map((label) => `\`${label}\``).join(', ');
  const rows = list.map(({ name, kind, labels }) => [`\`${name}\``, kind, codes(labels)]);
  const definitions = list.map(({ name, help }) => `### ${name}\n\n${paragraph(`${help}.`.split(' '))}`);
  return [`## ${title}`, table(['metric', 'kind', 'labels'], rows), ...definitions].join('\n\n');
}

export function metricsSections(): string {
  const { relay, api } = metrics();
  return `\n${section('Relay', relay)}\n\n${section('API', api)}\n`;
}
