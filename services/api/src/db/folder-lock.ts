import { spawnSync } from 'node:child_process';
import {
  closeSync,
  constants,
  fchmodSync,
  fstatSync,
  ftruncateSync,
  openSync,
  readFileSync,
  statSync,
  writeSync,
} from 'node:fs';
import { hostname } from 'node:os';
import { makeFolderPrivate, StartFailure } from '@groupcast/service-kit';

const { O_CREAT, O_NONBLOCK, O_RDWR } = constants;
/** `O_EXLOCK`, which takes the lock together with the file. Node names no constant for it; libuv passes it on. */
const OPEN_LOCKED: Partial<Record<NodeJS.Platform, number>> = {
  darwin: 0x20 | O_NONBLOCK,
  freebsd: 0x20 | O_NONBLOCK,
  openbsd: 0x20 | O_NONBLOCK,
  win32: 0x1000_0000,
};
/** Longest wait for flock(1), in milliseconds: a file system over a network may not answer. */
const LOCK_TIMEOUT_MS = 5_000;
/** Most times that the lock file may be replaced while it is being locked before that is a failure. */
const MAX_ATTEMPTS = 10;
const HELD: ReadonlySet<unknown> = new Set(['EAGAIN', 'EBUSY', 'EWOULDBLOCK']);

type Outcome = { fd: number } | 'held';

/**
 * flock(1) locks the open file that it inherits as its descriptor 3. The lock belongs to the open file, so it stays after flock(1)
 * has ended, until this process closes the file or ends.
 */
function lockWithCommand(file: string): Outcome {
  const fd = openSync(file, O_RDWR | O_CREAT, 0o600);
  const { status, error, stderr } = spawnSync('flock', ['-x', '-n', '3'], {
    stdio: ['ignore', 'ignore', 'pipe', fd],
    encoding: 'utf8',
    timeout: LOCK_TIMEOUT_MS,
  });
  if (status === 0) return { fd };
  closeSync(fd);
  if (status === 1 && stderr === '') return 'held';
  if (error && 'code' in error && error.code === 'ENOENT') {
    throw new StartFailure(
      'unable to lock the embedded database; the command flock is missing (install util-linux, or set DATABASE_URL)',
    );
  }
  const why = error?.message ?? (stderr.trim() || `flock ended with ${status}`);
  throw new StartFailure(
    `unable to lock the embedded database; ${file}: ${why} (set DATABASE_URL, or another DATA_DIR)`,
  );
}

function lock(file: string): Outcome {
  const flags = OPEN_LOCKED[process.platform];
  if (flags === undefined) return lockWithCommand(file);
  try {
    return { fd: openSync(file, O_RDWR | O_CREAT | flags, 0o600) };
  } catch (error) {
    if (HELD.has((error as NodeJS.ErrnoException).code)) return 'held';
    throw error;
  }
}

/** Whether `file` still names what was locked: somebody may have deleted it between the opening and the locking. */
function isCurrent(fd: number, file: string): boolean {
  const locked = fstatSync(fd);
  const named = statSync(file, { throwIfNoEntry: false });
  return named?.ino === locked.ino && named.dev === locked.dev;
}

/** The content only helps people: it may be missing where the disk is full, and decides nothing. */
function describeHolder(fd: number): void {
  try {
    fchmodSync(fd, 0o600);
    ftruncateSync(fd);
    writeSync(fd, `process ${process.pid} on ${hostname()}\n`, 0);
  } catch {
    // The lock is held all the same.
  }
}

function readHolder(file: string): string {
  try {
    return /^process \d{1,10} on [\w.-]{1,255}$/.exec(readFileSync(file, 'utf8').trim())?.[0] ?? 'another process';
  } catch {
    return 'another process';
  }
}

/**
 * The embedded database takes no lock of its own, and two processes on one folder silently lose rows. Holds `<folder>.lock` until
 * the returned function is called. Throws a `StartFailure` when another process holds it.
 *
 * The kernel keeps the lock and gives it up with the process, however that ends. So it holds between containers on one volume, which
 * know nothing of each other's process ids, and while its holder is suspended; and nothing that is left in the file holds it: neither
 * a process that was killed, nor one that nobody has reaped. The file stays, since deleting it would let two processes lock two files.
 */
export function lockFolder(folder: string): () => void {
  makeFolderPrivate(folder);
  const file = `${folder}.lock`;
  for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt += 1) {
    const outcome = lock(file);
    if (outcome === 'held') break;
    const { fd } = outcome;
    if (isCurrent(fd, file)) {
      describeHolder(fd);
      return () => closeSync(fd);
    }
    closeSync(fd);
  }
  throw new StartFailure(
    `unable to open the embedded database; ${folder} is in use by ${readHolder(file)} (stop it, or set DATABASE_URL to run several)`,
  );
}
