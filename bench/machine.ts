import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { availableParallelism, cpus, release, totalmem } from 'node:os';
import { PINNING } from './pins.ts';

/** The machine and versions that the numbers are from. */
export interface Machine {
  cpu: string;
  cores: number;
  memoryGb: number;
  kernel: string;
  pinning: string;
  versions: Record<string, string>;
}

const require = createRequire(import.meta.url);

/** Some packages do not export their package.json, so it is looked for above their entry. */
function versionOf(name: string): string {
  const entry = require.resolve(name);
  const folder = entry.slice(0, entry.lastIndexOf(`node_modules/${name}/`) + `node_modules/${name}/`.length);
  return (JSON.parse(readFileSync(`${folder}package.json`, 'utf8')) as { version: string }).version;
}

export function describeMachine(): Machine {
  const redis = spawnSync('redis-server', ['--version'], { encoding: 'utf8' }).stdout ?? '';
  return {
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: availableParallelism(),
    memoryGb: Math.round(totalmem() / 2 ** 30),
    kernel: release(),
    pinning: PINNING,
    versions: {
      Node: process.versions.node,
      'socket.io': versionOf('socket.io'),
      '@socket.io/redis-adapter': versionOf('@socket.io/redis-adapter'),
      ws: versionOf('ws'),
      Redis: /v=(\S+)/.exec(redis)?.[1] ?? 'missing',
    },
  };
}
