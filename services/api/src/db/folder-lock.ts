import { linkSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** What a process is called besides its number: a number alone may belong to somebody else after a restart. */
function startTime(pid: number): string {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? '';
  } catch {
    return '';
  }
}

/**
 * The embedded database takes no lock of its own, and two processes on one folder silently lose rows. Holds `<folder>.lock`
 * until the returned function is called; a lock left by a process that is gone is taken over. Throws when it is held.
 */
export function lockFolder(folder: string): () => void {
  mkdirSync(folder, { recursive: true });
  const file = `${folder}.lock`;
  const me = `${process.pid} ${startTime(process.pid)}`;
  for (;;) {
    try {
      writeFileSync(file, me, { flag: 'wx' });
      return () => rmSync(file, { force: true });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
      const holder = readFileSync(file, 'utf8');
      const [pid = '0', started = ''] = holder.split(' ');
      if (holder === me || (isAlive(Number(pid)) && startTime(Number(pid)) === started)) {
        throw new Error(
          `unable to open the embedded database; ${folder} is in use by process ${pid} (set DATABASE_URL to run several)`,
          { cause: error },
        );
      }
      // Two processes may take the same stale lock over at once: whoever moves a fresh one away puts it back.
      const aside = `${file}.${process.pid}`;
      renameSync(file, aside);
      if (readFileSync(aside, 'utf8') !== holder) linkSync(aside, file);
      rmSync(aside, { force: true });
    }
  }
}
