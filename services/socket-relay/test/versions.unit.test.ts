import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));

interface Installed {
  folder: string;
  version: string;
}

/** The package that `import '<name>'` finds from a file in `from`: the nearest node_modules that has it. */
function installed(name: string, from: string): Installed {
  for (let folder = from; folder !== dirname(folder); folder = dirname(folder)) {
    const candidate = join(folder, 'node_modules', name);
    if (!existsSync(join(candidate, 'package.json'))) continue;
    const { version } = JSON.parse(readFileSync(join(candidate, 'package.json'), 'utf8')) as { version: string };
    return { folder: candidate, version };
  }
  throw new Error(`${name} is not installed where ${from} would find it`);
}

/** The last package of a chain: found by `b`, which `a` finds, which the workspace `from` finds. */
function foundBy(from: string, ...names: string[]): string {
  let found: Installed = { folder: join(ROOT, from), version: '' };
  for (const name of names) found = installed(name, found.folder);
  return found.version;
}

function atLeast(version: string, floor: string): boolean {
  const [numbers, minimum] = [version, floor].map((text) => text.split('-')[0]?.split('.').map(Number) ?? []);
  for (const [index, least] of (minimum ?? []).entries()) {
    const number = numbers?.[index] ?? 0;
    if (number !== least) return number > least;
  }
  return !version.includes('-');
}

describe('versions with known holes are not installed', () => {
  test.each([
    ['the engine under the relay', 'services/socket-relay', ['socket.io', 'engine.io'], '6.6.10'],
    ['its parser', 'services/socket-relay', ['socket.io', 'socket.io-parser'], '4.2.7'],
    ['Socket.IO', 'services/socket-relay', ['socket.io'], '4.8.4'],
    ['the WebSocket server that the engine takes', 'services/socket-relay', ['socket.io', 'engine.io', 'ws'], '8.23.0'],
    ['Fastify in the relay', 'services/socket-relay', ['fastify'], '5.12.6'],
    ['Fastify in the API', 'services/api', ['fastify'], '5.12.6'],
    ['Fastify in the service kit', 'packages/service-kit', ['fastify'], '5.12.6'],
    ['static files in the API', 'services/api', ['@fastify/static'], '10.1.4'],
    ['static files of /docs', 'packages/service-kit', ['@fastify/swagger-ui', '@fastify/static'], '10.1.4'],
    ['what verifies tokens', 'packages/tokens', ['jose'], '6.0.0'],
  ])('%s (%s: %j) is at least %s', (_, from, names, floor) => {
    const version = foundBy(from, ...names);
    expect(atLeast(version, floor) ? floor : version).toBe(floor);
  });

  test('jose stays at its sixth major version', () => {
    expect(foundBy('packages/tokens', 'jose')).toMatch(/^6\./);
  });

  test('versions compare by number, and a preview is not its release', () => {
    expect(['8.23.0', '8.23.1', '8.100.0', '10.0.0'].filter((version) => !atLeast(version, '8.23.0'))).toEqual([]);
    expect(['8.22.9', '8.9.0', '7.99.99', '8.23.0-beta.1'].filter((version) => atLeast(version, '8.23.0'))).toEqual([]);
  });

  test('the check looks where Node looks: the nearest copy wins', () => {
    expect(foundBy('services/socket-relay', 'socket.io-client-4.0', 'ws')).toMatch(/^7\./);
    expect(() => foundBy('services/socket-relay', 'no-such-package')).toThrow('is not installed');
  });
});
