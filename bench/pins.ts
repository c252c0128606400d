import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

/** The cores this process may run on, as in `0-1,4`. */
function allowedCores(): number[] {
  const list = /Cpus_allowed_list:\s+(\S+)/.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? '0';
  return list.split(',').flatMap((range) => {
    const [from = 0, to = from] = range.split('-').map(Number);
    return Array.from({ length: to - from + 1 }, (_, n) => from + n);
  });
}

const cores = allowedCores();
const hasTaskset = spawnSync('taskset', ['--version']).status === 0;

/** The sentence of the report about it. */
export const PINNING =
  cores.length < 2
    ? 'one core for everything: the driver takes time from the servers, so look at CPU time only'
    : hasTaskset
      ? `servers on core ${cores[0]}, driver on core ${cores.at(-1)}`
      : 'not pinned to cores: taskset (util-linux) is missing';

/** Keeps a process, with the threads it has and will have, on the core of its part. Does nothing where that cannot be. */
export function pin(pid: number, part: 'server' | 'driver'): void {
  if (!hasTaskset || cores.length < 2) return;
  const core = part === 'server' ? cores[0] : cores.at(-1);
  const { status, stderr } = spawnSync('taskset', ['-a', '-p', '-c', String(core), String(pid)], { encoding: 'utf8' });
  if (status !== 0) throw new Error(`unable to pin process ${pid}; ${stderr}`);
}
