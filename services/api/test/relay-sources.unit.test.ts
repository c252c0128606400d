import { expect, test } from 'vitest';
import { relaySources } from '../src/relay-facing/relay-sources.ts';

test.each([
  ['http://localhost:3001', ['http://localhost:3001', 'ws://localhost:3001']],
  ['https://example.com/rt', ['https://example.com', 'wss://example.com']],
  ['http://[::1]:3001', ['http:', 'ws:']],
  ['https://[fd00::2]/rt', ['https:', 'wss:']],
])('a page may connect to the relay at %s', (url, sources) => {
  expect(relaySources(url)).toEqual(sources);
});
