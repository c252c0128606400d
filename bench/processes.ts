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

/** CPU time so far of the processes that descend from `pid`, and of itself; of those that have ended once their parents have waited for them. */
export function treeCpuMs(pid: number): number {
  const parents = new Map<number, { parent: number; ticks: number }>();
  for (const name of readdirSync('/proc').filter((entry) => /^\d+$/.test(entry))) {
    // It may have ended meanwhile.
    const text = existsSync(`/proc/${name}/stat`) ? readQuietly(`/proc/${name}/stat`) : '';
    const fields = text.replace(/^.*\) /, '').split(' ');
    const ticks = fields.slice(11, 15).reduce((sum, field) => sum + Number(field), 0);
    if (fields.length > 15) parents.set(Number(name), { parent: Number(fields[1]), ticks });
  }
  const isInTree = (child: number): boolean => {
    for (let at: number | undefined = child; at !== undefined; at = parents.get(at)?.parent)
      if (at === pid) return true;
    return false;
  };
  return [...parents].reduce((sum, [child, { ticks }]) => sum + (isInTree(child) ? ticks * 10 : 0), 0);
}

function readQuietly(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}

/** CPU time that all cores of the machine have worked so far, for whomever, or were taken away by its host. */
export function machineBusyMs(): number {
  const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0, steal = 0] = readFileSync('/proc/stat', 'utf8')
    .replace(/\n[^]*$/, '')
    .split(/\s+/)
    .slice(1)
    .map(Number);
  return (user + nice + system + irq + softirq + steal) * 10;
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
