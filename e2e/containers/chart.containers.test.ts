import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Ajv } from 'ajv';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { CASES, CHART, exampleValues, headerOf, REQUIRED, renderedFile } from './chart.ts';
import { objectsOf } from './kubernetes.ts';

const SOURCE = fileURLToPath(new URL('render/main.go', import.meta.url));
/** Debian's Go, and the two libraries. Helm itself is not in Debian. */
const PACKAGES = ['golang-go', 'golang-github-masterminds-sprig-dev', 'golang-k8s-sigs-yaml-dev'];
const folder = mkdtempSync(join(tmpdir(), 'groupcast-render-'));
const program = join(folder, 'render');

function run(
  file: string,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
  input = '',
): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(file, args, {
    encoding: 'utf8',
    input,
    env: { PATH: process.env['PATH'] ?? '', HOME: folder, ...env },
  });
}

const render = (values: object): { status: number | null; stdout: string; stderr: string } =>
  run(program, [CHART, 'chat', 'messaging'], {}, JSON.stringify(values));

beforeAll(() => {
  if (!existsSync('/usr/share/gocode/src/github.com/Masterminds/sprig') || !existsSync('/usr/bin/go')) {
    const installed = run('apt-get', ['install', '-y', '-qq', '--no-install-recommends', ...PACKAGES], {
      DEBIAN_FRONTEND: 'noninteractive',
    });
    if (installed.status !== 0)
      throw new Error(`install ${PACKAGES.join(' ')}, which render the chart:\n${installed.stderr}`);
  }
  const built = run('/usr/bin/go', ['build', '-o', program, SOURCE], {
    GO111MODULE: 'off',
    GOPATH: '/usr/share/gocode',
    GOCACHE: join(folder, 'cache'),
  });
  if (built.status !== 0) throw new Error(built.stderr);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('the chart', () => {
  test.each(Object.keys(CASES))('renders by Go’s templates as %s.yaml says, which npm test checks', async (name) => {
    const { status, stdout, stderr } = render(CASES[name] ?? {});
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    await expect(headerOf(name) + stdout).toMatchFileSnapshot(renderedFile(name));
  });

  test.each([
    ['image.repository', { image: {} }, 'image.repository is missing: name the registry'],
    ['secret.name', { secret: {} }, 'secret.name is missing: name a Secret that has JWT_SECRET, RELAY_SERVICE_SECRET'],
    ['publicUrl', { publicUrl: '' }, 'publicUrl is missing: say where browsers find the relays'],
    ['corsOrigin', { corsOrigin: '' }, 'corsOrigin is missing: list the origins of your web app'],
    ['ingress.host', { ingress: { enabled: true } }, 'ingress.host is missing: name the host'],
    [
      'networkPolicy.internalFrom for a ServiceMonitor',
      { serviceMonitor: { enabled: true } },
      'networkPolicy.internalFrom is empty: name the pods of Prometheus, which the NetworkPolicy keeps from what the ServiceMonitor has it scrape, or set networkPolicy.enabled: false',
    ],
  ])('without %s it is refused with a sentence', (_name, change, sentence) => {
    const { status, stderr } = render({ ...REQUIRED, ...change });
    expect(status).toBe(1);
    expect(stderr).toContain(sentence);
  });

  test('renders the example of docs/deploying.md', () => {
    const { status, stderr } = render(parse(exampleValues()) as object);
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  });

  test('a ServiceMonitor needs no internalFrom where there is no NetworkPolicy', () => {
    const values = { ...REQUIRED, serviceMonitor: { enabled: true }, networkPolicy: { enabled: false } };
    expect(render(values)).toMatchObject({ status: 0, stderr: '' });
  });

  test.each([
    ['1', true],
    ['On', true],
    ['0', false],
  ])('with PUBLIC_BROADCAST_API=%s the ingress leads to the broadcast API: %s', (value, is) => {
    const values = {
      ...REQUIRED,
      relay: { env: { PUBLIC_BROADCAST_API: value } },
      ingress: { enabled: true, host: 'chat.example.com' },
    };
    expect(render(values).stdout.includes('path: /v1/')).toBe(is);
  });

  const envOf = (text: string): Record<string, (string | undefined)[][]> =>
    Object.fromEntries(
      objectsOf(text)
        .filter(({ kind }) => kind === 'Deployment')
        .map(({ spec, metadata }) => {
          const { containers } = (
            spec['template'] as { spec: { containers: { env: { name: string; value?: string }[] }[] } }
          ).spec;
          return [metadata.name, containers.flatMap(({ env }) => env.map(({ name, value }) => [name, value]))];
        }),
    );

  test.each([
    ['no ingress', {}, undefined],
    ['an ingress', { ingress: { enabled: true, host: 'chat.example.com' } }, '1'],
    ['api.trustProxy', { api: { trustProxy: 3 } }, '3'],
    ['both', { api: { trustProxy: 0 }, ingress: { enabled: true, host: 'chat.example.com' } }, '0'],
  ])('TRUST_PROXY with %s', (_name, change, value) => {
    const { 'chat-groupcast-api': env = [] } = envOf(render({ ...REQUIRED, ...change }).stdout);
    expect(env.find(([name]) => name === 'TRUST_PROXY')?.[1]).toBe(value);
  });

  test('no container gets a variable twice, whichever is given where', () => {
    const validate = new Ajv({ strict: false }).compile(
      JSON.parse(readFileSync(join(CHART, 'values.schema.json'), 'utf8')) as object,
    );
    const { secret } = parse(readFileSync(join(CHART, 'values.yaml'), 'utf8')) as {
      secret: { optionalKeys: string[] };
    };
    const known = Array.from(
      readFileSync('docs/reference/configuration.md', 'utf8').matchAll(/^\| \[`([A-Z_]+)`\]/gm),
      ([, name = '']) => name,
    );
    expect(known.length).toBeGreaterThan(80);
    const ingress = { enabled: true, host: 'chat.example.com' };
    const outcomes = known.flatMap((name) =>
      [
        { relay: { env: { [name]: '1' } } },
        { api: { env: { [name]: '1' } } },
        { api: { enabled: false }, relay: { env: { [name]: '1' } } },
        { secret: { name: 'groupcast', optionalKeys: [...new Set([...secret.optionalKeys, name])] } },
        {
          secret: { name: 'groupcast', optionalKeys: [...new Set([...secret.optionalKeys, name])] },
          relay: { env: { [name]: '1' } },
        },
      ]
        .map((change) => ({ ...REQUIRED, ingress, ...change }))
        .filter((values) => validate(values))
        .map((values) => {
          const { status, stdout, stderr } = render(values);
          const twice = Object.values(envOf(stdout)).flatMap((env) =>
            env.map(([variable]) => variable).filter((variable, at, all) => all.indexOf(variable) !== at),
          );
          if (status !== 0) expect(stderr).toContain(`${name} is in secret.optionalKeys too: it would be set twice`);
          return [name, status, ...twice];
        }),
    );
    expect(outcomes.filter(([, , ...twice]) => twice.length > 0)).toEqual([]);
    expect(outcomes.filter(([name, status]) => name === 'JWT_SECRET_PREVIOUS' && status === 1)).toHaveLength(4);
  });
});
