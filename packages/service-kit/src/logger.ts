import { type Logger as PinoLogger, pino } from 'pino';
import pretty from 'pino-pretty';

export type Logger = PinoLogger;

/** Nothing under these names is ever written, however deep the object that carries it (to two levels). */
const SECRET_FIELDS = ['token', 'auth', 'authorization', 'cookie', 'secret', 'password', 'serviceSecret'];
const REDACTED_PATHS = SECRET_FIELDS.flatMap((field) => [field, `*.${field}`, `*.*.${field}`]);

export const LOG_LEVELS = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'] as const;

/** JSON lines on stdout; on a terminal in development, lines for people. */
export function createLogger(options: { name: string; level: string; production: boolean }): Logger {
  const settings = {
    name: options.name,
    level: options.level,
    redact: { paths: REDACTED_PATHS, censor: '[redacted]' },
  };
  const forPeople = !options.production && process.stdout.isTTY;
  return forPeople ? pino(settings, pretty({ sync: true, ignore: 'pid,hostname' })) : pino(settings);
}
