import { existsSync, readdirSync, readFileSync } from 'node:fs';

/** CPU time of a process so far, user and system together, in milliseconds; to a hundredth of a second. */
export function cpuMs(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/^.*\) /, '')
    .split(' ');
  const ticks = Number(fields[11]) + Number(fields[12]);
  // USER_HZ is 100 on every Linux that Node runs on.
  return ticks * 10;
}

/** CPU time of a process so far, all threads together, in nanoseconds. Kernels without scheduler statistics know hundredths of a second. */
export function cpuNs(pid: number): number {
  const threads = `/proc/${pid}/task`;
  if (!existsSync(`${threads}/${pid}/schedstat`)) return cpuMs(pid) * 1_000_000;
  let sum = 0;
  for (const thread of readdirSync(threads)) {
    sum += Number(readFileSync(`${threads}/${thread}/schedstat`, 'utf8').split(' ')[0]);
  }
  return sum;
}

/** Resident memory of a process, in bytes. */
export function rssBytes(pid: number): number {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) * 1_024;
}

/** Resident memory of a process, in MB. */
export function rssMb(pid: number): number {
  return Math.round(rssBytes(pid) / 1_048_576);
}

/** The process behind a guard that ends it with its parent: the guard replaces itself, so it is the child. */
export function pidOf(child: { pid?: number | undefined }): number {
  if (child.pid === undefined) throw new Error('the process has not started');
  return child.pid;
}
