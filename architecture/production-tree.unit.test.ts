import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';

interface Locked {
  dev?: boolean;
  link?: boolean;
}

const { packages } = JSON.parse(readFileSync(new URL('../package-lock.json', import.meta.url), 'utf8')) as {
  packages: Record<string, Locked>;
};
const SEPARATOR = 'node_modules/';
const nameOf = (path: string): string => path.slice(path.lastIndexOf(SEPARATOR) + SEPARATOR.length);
const installed = Object.entries(packages).filter(([path, { link }]) => path.includes(SEPARATOR) && !link);

/** Programs that build and test. Their own packages, such as native binaries, come and go with them. */
const TOOLS = [
  '@biomejs/biome',
  'esbuild',
  'knip',
  'oxlint',
  'playwright-core',
  'tsx',
  'turbo',
  'typescript',
  'vite',
  'vitest',
];
const PAGES = ['@tanstack/react-query', 'react', 'react-dom', 'uplot'];
/** Parts of the bundles of the services, which find nothing of them in `node_modules`. */
const BUNDLED = ['@fastify/swagger-ui', '@opentelemetry/sdk-trace-node', 'fastify', 'ioredis', 'pino', 'socket.io'];

test.each([...TOOLS, ...PAGES, ...BUNDLED])('npm ci --omit=dev leaves %s out', (name) => {
  const entries = installed.filter(([path]) => nameOf(path) === name);
  expect(entries).not.toEqual([]);
  expect(entries.flatMap(([path, { dev }]) => (dev ? [] : [path]))).toEqual([]);
});

test('npm ci --omit=dev leaves the embedded database in: the bundle of the API does not have it', () => {
  expect(packages['node_modules/@electric-sql/pglite']?.dev).toBeUndefined();
});
