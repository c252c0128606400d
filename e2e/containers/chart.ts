import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const CHART = fileURLToPath(new URL('../../deploy/chart', import.meta.url));
const RENDERED = fileURLToPath(new URL('rendered', import.meta.url));

/** Values without a default, which everybody sets. */
export const REQUIRED = {
  image: { repository: 'registry.example.com/groupcast' },
  secret: { name: 'groupcast' },
  publicUrl: 'https://chat.example.com',
  corsOrigin: 'https://app.example.com',
};
const monitoring = { namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'monitoring' } } };
const autoscaling = { enabled: true, minReplicas: 3, maxReplicas: 12, cpuPercent: 50 };

/** Values that are rendered, with a name for the file of what they make. */
export const CASES: Readonly<Record<string, object>> = {
  defaults: REQUIRED,
  everything: {
    ...REQUIRED,
    image: { repository: 'registry.example.com/groupcast', tag: '1.2.3', pullSecrets: ['registry'] },
    relay: {
      autoscaling,
      drainSeconds: 60,
      env: { MAX_CONNECTIONS_PER_USER: '20', RELAY_WS_PATH: '/ws', PUBLIC_BROADCAST_API: '1' },
      podAnnotations: { 'example.com/team': 'chat' },
      nodeSelector: { 'kubernetes.io/arch': 'amd64' },
      tolerations: [{ key: 'chat', operator: 'Exists' }],
      affinity: { podAntiAffinity: { preferredDuringSchedulingIgnoredDuringExecution: [] } },
      service: { type: 'LoadBalancer', annotations: { 'example.com/internal': 'true' } },
    },
    api: { autoscaling, trustProxy: 2, env: { RETENTION_DAYS: '365' } },
    ingress: { enabled: true, host: 'chat.example.com', tlsSecretName: 'chat-tls' },
    networkPolicy: { publicFrom: [monitoring], internalFrom: [monitoring] },
    serviceMonitor: { enabled: true, labels: { release: 'prometheus' } },
  },
  'relay-alone': {
    ...REQUIRED,
    relay: { replicas: 1, env: { JWT_JWKS_URL: 'https://id.example.com/jwks', JWT_AUDIENCE: 'chat' } },
    api: { enabled: false, ownBackEndUrl: 'https://back-end.example.com' },
    networkPolicy: { enabled: false },
    ingress: { enabled: true, host: 'chat.example.com' },
  },
};

export const renderedFile = (name: string): string => join(RENDERED, `${name}.yaml`);

/** Tells one state of the chart, and of what is rendered from it, from every other. */
export function digestOf(name: string): string {
  const files = [
    'Chart.yaml',
    'values.yaml',
    ...readdirSync(join(CHART, 'templates'))
      .toSorted()
      .map((file) => `templates/${file}`),
  ];
  const hash = createHash('sha256').update(JSON.stringify(CASES[name]));
  for (const file of files) hash.update(`\0${file}\0`).update(readFileSync(join(CHART, file)));
  return hash.digest('hex');
}

/** The first line of a rendered file. Where it is another one than the chart's now, `npm run test:containers -- -u` renders anew. */
export const headerOf = (name: string): string =>
  `# Rendered by e2e/containers/render from the chart with the digest ${digestOf(name)}\n`;

export function readRendered(name: string): string {
  const file = renderedFile(name);
  return existsSync(file) ? readFileSync(file, 'utf8') : '';
}

/** The values that docs/deploying.md begins with, as YAML. */
export function exampleValues(): string {
  const page = readFileSync(fileURLToPath(new URL('../../docs/deploying.md', import.meta.url)), 'utf8');
  const [, text] = /^## Kubernetes$[^]*?^```yaml\n([^]*?)^```$/m.exec(page) ?? [];
  if (text === undefined) throw new Error('docs/deploying.md has no values for the chart');
  return text;
}
