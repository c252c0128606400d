import { expect, test } from 'vitest';
import { readEnvironment, readRelayWsPath } from '../src/index.ts';

function read(path: string | undefined): string | undefined {
  const env = readEnvironment(path === undefined ? {} : { RELAY_WS_PATH: path });
  const found = readRelayWsPath(env);
  env.assertValid();
  return found;
}

test.each([[undefined], ['/ws'], ['/realtime/ws.v1'], ['/livez/ws'], ['/socket.iox'], ['/v1x']])(
  'a path of the raw door: %s',
  (path) => {
    expect(read(path)).toBe(path);
  },
);

test.each([
  'ws',
  '/',
  '/ws/',
  '//ws',
  '/livez',
  '/readyz',
  '/socket.io',
  '/socket.io/ws',
  '/v1',
  '/v1/broadcast',
  '/ws?x=1',
  '/ws#x',
  '/a/../livez',
  '/./livez',
  '/a b',
  '/é',
  `/${'x'.repeat(128)}`,
])('a path that no door may have: %s', (path) => {
  expect(() => read(path)).toThrow(/RELAY_WS_PATH must be a path such as \/ws/);
});
