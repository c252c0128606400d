import { type Logger as PinoLogger, pino } from 'pino';
import pretty from 'pino-pretty';
import sonicBoom, { type SonicBoom } from 'sonic-boom';

export type Logger = PinoLogger;

/** Nothing under these names is ever written, however deep the object that carries it (to two levels). */
const SECRET_FIELDS = ['token', 'auth', 'authorization', 'cookie', 'secret', 'password', 'serviceSecret'];
const REDACTED_PATHS = SECRET_FIELDS.flatMap((field) => [field, `*.${field}`, `*.*.${field}`]);

export const LOG_LEVELS = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'] as const;

/** What waits for a reader that does not take it; later lines are dropped. */
const MAX_PENDING_BYTES = 4 * 1024 * 1024;
/** How long an exit, and a line of the level `fatal`, wait for a reader that takes nothing. */
const FLUSH_MS = 1_000;

/**
 * Stdout, written without waiting for whoever reads it: a service goes on when its log reader is stuck or gone. What is not taken is kept
 * within bounds and tried again with the next line, so that a new reader (of a FIFO), or a disk with room again, gets it. An exit gets rid
 * of what it can at once, and is never held up nor given another code by it.
 */
function createOutput(): SonicBoom {
  let flushBy = Number.POSITIVE_INFINITY;
  const output = new sonicBoom.SonicBoom({
    fd: process.stdout.fd,
    sync: false,
    maxLength: MAX_PENDING_BYTES,
    retryEAGAIN: () => Date.now() < flushBy,
  });
  // Nowhere is left to say it.
  output.on('error', () => undefined);
  const flushSync = output.flushSync.bind(output);
  // pino calls it as well, after each fatal line.
  output.flushSync = () => {
    flushBy = Date.now() + FLUSH_MS;
    try {
      flushSync();
    } finally {
      flushBy = Number.POSITIVE_INFINITY;
    }
  };
  process.once('exit', () => {
    try {
      output.flushSync();
    } catch {
      // The reader is gone, or stuck.
    }
  });
  return output;
}

/** JSON lines on stdout; on a terminal in development, lines for people. */
export function createLogger(options: { name: string; level: string; production: boolean }): Logger {
  const settings = {
    name: options.name,
    level: options.level,
    redact: { paths: REDACTED_PATHS, censor: '[redacted]' },
  };
  const forPeople = !options.production && process.stdout.isTTY;
  return pino(settings, forPeople ? pretty({ sync: true, ignore: 'pid,hostname' }) : createOutput());
}
