import { afterAll, expect } from 'vitest';
import { until } from './until.ts';

/** Resources that a test file may not leave behind: servers that listen, and processes. */
const WATCHED = ['TCPServerWrap', 'ProcessWrap'];

function open(): string[] {
  return process.getActiveResourcesInfo().filter((name) => WATCHED.includes(name));
}

const before = open().length;

afterAll(async () => {
  const clean = await until('handles to close', () => open().length <= before, 3_000).catch(() => false);
  expect(clean ? [] : open(), 'servers or processes left open by this file').toEqual([]);
});
