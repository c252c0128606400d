import { type DestinationStream, type Logger as PinoLogger, pino } from 'pino';
import { prettyFactory } from 'pino-pretty';
import sonicBoom, { type SonicBoom } from 'sonic-boom';
import { scrubText, serializeError } from './scrub.ts';

export type Logger = PinoLogger;

/** Nothing under these names is ever written, however deep the object that carries it (to two levels). */
const SECRET_FIELDS = ['token', 'auth', 'authorization', 'cookie', 'secret', 'password', 'serviceSecret'];
const REDACTED_PATHS = SECRET_FIELDS.flatMap((field) => [field, `*.${field}`, `*.*.${field}`]);

export const LOG_LEVELS = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'] as const;

/** What waits for a reader that does not take it; later lines are dropped. */
const MAX_PENDING_BYTES = 4 * 1024 * 1024;
/** How often it is offered again when nothing else is logged. */
const RETRY_MS = 100;
/** How long an exit waits for a reader that takes nothing. */
const EXIT_FLUSH_MS = 1_000;

/**
 * Stdout, written line by line without waiting for its reader: Node makes a pipe non-blocking, so a service goes on when its log
 * reader is stuck or gone. What is not taken is kept within bounds and offered again, so that a new reader (of a FIFO), or a disk with
 * room again, gets it. Nothing is in flight between two lines, and so an exit writes what is left in its order; it waits for a slow
 * reader a moment, and is never held up nor given another code by it.
 */
function createOutput(): SonicBoom {
  let waitUntil = 0;
  const output = new sonicBoom.SonicBoom({
    fd: process.stdout.fd,
    sync: true,
    maxLength: MAX_PENDING_BYTES,
    retryEAGAIN: () => performance.now() < waitUntil,
  });
  const offerAgain = () => output.write('');
  let retry: NodeJS.Timeout | undefined;
  // Nowhere is left to say it.
  output.on('error', () => {
    clearTimeout(retry);
    retry = setTimeout(offerAgain, RETRY_MS).unref();
  });
  // pino calls it after each fatal line, which is written by then or waits.
  output.flushSync = () => undefined;
  process.once('exit', () => {
    waitUntil = performance.now() + EXIT_FLUSH_MS;
    offerAgain();
  });
  return output;
}

/** The same for people, line by line as well, so that a terminal that was closed is a reader that is gone. */
function createReadableOutput(): DestinationStream {
  const output = createOutput();
  const toText = prettyFactory({ ignore: 'pid,hostname' });
  return { write: (line) => void output.write(toText(line)) };
}

/** JSON lines on stdout; on a terminal in development, lines for people. No level shows a secret, not even one that a library put into an error. */
export function createLogger(options: { name: string; level: string; production: boolean }): Logger {
  const settings = {
    name: options.name,
    level: options.level,
    redact: { paths: REDACTED_PATHS, censor: '[redacted]' },
    serializers: { err: serializeError, error: serializeError, reason: serializeError },
    // The line as a whole, for texts that repeat what they were given under any other name.
    hooks: { streamWrite: scrubText },
  };
  const forPeople = !options.production && process.stdout.isTTY;
  return pino(settings, forPeople ? createReadableOutput() : createOutput());
}
