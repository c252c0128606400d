import { readFileSync } from 'node:fs';

/** CPU time of a process so far, user and system together, in milliseconds; to a hundredth of a second. */
export function cpuMs(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/^.*\) /, '')
    .split(' ');
  const ticks = Number(fields[11]) + Number(fields[12]);
  // USER_HZ is 100 on every Linux that Node runs on.
  return ticks * 10;
}

/** Resident memory of a process, in MB. */
export function rssMb(pid: number): number {
  const kilobytes = Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]);
  return Math.round(kilobytes / 1_024);
}

/** The process behind a guard that ends it with its parent: the guard replaces itself, so it is the child. */
export function pidOf(child: { pid?: number | undefined }): number {
  if (child.pid === undefined) throw new Error('the process has not started');
  return child.pid;
}
