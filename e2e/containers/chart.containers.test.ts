import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { CASES, CHART, headerOf, REQUIRED, renderedFile } from './chart.ts';

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
  ])('without %s it is refused with a sentence', (_name, change, sentence) => {
    const { status, stderr } = render({ ...REQUIRED, ...change });
    expect(status).toBe(1);
    expect(stderr).toContain(sentence);
  });
});
