import cluster from 'node:cluster';
import closeWithGrace from 'close-with-grace';
import { loadDotEnv } from './dot-env.ts';
import { ConfigurationError } from './environment.ts';
import { createLogger, type Logger } from './logger.ts';
import { StartFailure } from './start-failure.ts';
import { outliveTerminal } from './terminal.ts';
import { startTraced, type TracingConfig } from './tracing.ts';

export interface Closable {
  /** Stops in reverse order of start. Resolves when nothing is left running. */
  close(): Promise<void>;
}

const EXIT_CONFIGURATION = 78;
/** Milliseconds beyond the drain time after which a stop that hangs is cut off. */
const STOP_MARGIN_MS = 7_000;

/**
 * Faults of the process itself. They keep their default action, which ends it: a handler in JavaScript returns to the instruction that
 * failed, which fails again, for ever. V8 has a handler of its own for SIGSEGV that WebAssembly (the embedded database) needs.
 */
const FAULTS = ['SIGILL', 'SIGTRAP', 'SIGABRT', 'SIGBUS', 'SIGFPE', 'SIGSEGV'] as const;

function startProblem(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined;
  if (error instanceof StartFailure) return error.message;
  const { code, syscall, port, address } = error as NodeJS.ErrnoException & { port?: number; address?: string };
  if (code === 'EADDRINUSE') return `unable to listen; port ${port} is already in use`;
  if (code === 'EACCES') return `unable to listen; no permission for port ${port}`;
  // A database that cannot be reached fails with the same code; 'bind' is what a worker is told by its primary.
  if (code === 'EADDRNOTAVAIL' && (syscall === 'listen' || syscall === 'bind'))
    return `unable to listen; this machine has no address ${address}`;
  return undefined;
}

/**
 * `groupcast start` that is killed tells its services nothing, but their channel to it closes. A worker of a cluster has a primary, which
 * it watches itself.
 */
function stopWithParent(): void {
  if (!process.channel || cluster.isWorker) return;
  process.once('disconnect', () => process.kill(process.pid, 'SIGTERM'));
  // The channel keeps no process alive that has nothing else to do.
  process.channel.unref();
}

/**
 * Runs a service from its start to its exit. Configuration errors exit 78, also those that only the start finds; a taken port or another
 * `StartFailure` exits 1 with one line; SIGTERM, SIGINT and SIGHUP stop it in order and exit 0; a second signal or a stop that hangs exits
 * 1. SIGHUP does not count as a second one: a terminal that is closed sends it, and so may the shell that ran in it.
 */
export async function runService<
  Config extends {
    logLevel: string;
    production: boolean;
    drainMs: number;
    warnings: readonly string[];
    tracing: TracingConfig;
  },
>(service: {
  name: string;
  readConfig: (source: NodeJS.ProcessEnv) => Config;
  start: (config: Config, log: Logger) => Promise<Closable>;
}): Promise<void> {
  let config: Config;
  let dotEnv: string | undefined;
  try {
    dotEnv = loadDotEnv();
    config = service.readConfig(process.env);
  } catch (error) {
    if (!(error instanceof ConfigurationError)) throw error;
    process.stderr.write(`${error.message}\n`);
    process.exitCode = EXIT_CONFIGURATION;
    return;
  }
  const log = createLogger({ name: service.name, level: config.logLevel, production: config.production });
  if (dotEnv !== undefined) log.info({ file: dotEnv }, 'variables of this file are used');
  for (const warning of config.warnings) log.warn(warning);
  outliveTerminal();

  // A signal may come while the service is still starting: it is closed as soon as it has started.
  let started: Promise<Closable | undefined> = Promise.resolve(undefined);
  let stopping = false;
  const { close } = closeWithGrace(
    { delay: config.drainMs + STOP_MARGIN_MS, logger: false, skip: [...FAULTS, 'SIGHUP'] },
    async ({ signal = 'SIGHUP', err }) => {
      stopping = true;
      if (err) log.fatal({ err }, 'stopping after an unexpected error');
      else log.info({ signal }, 'stopping');
      await (await started.catch(() => undefined))?.close();
      log.info('stopped');
    },
  );
  process.on('SIGHUP', () => {
    if (!stopping) close();
  });
  stopWithParent();
  started = startTraced(config.tracing, { service: service.name, log }, async () => service.start(config, log));
  try {
    await started;
    // `npm start` waits for this.
    process.send?.({ listening: service.name });
  } catch (error) {
    if (stopping) {
      // A signal to the whole process group ends the workers of a service that is still starting.
      log.warn({ err: error }, 'stopped before the start was finished');
      return;
    }
    if (error instanceof ConfigurationError) {
      // Only the start could find it out: what it names is there, and is not what it was meant to be.
      process.stderr.write(`${error.message}\n`);
      process.exit(EXIT_CONFIGURATION);
    }
    const problem = startProblem(error);
    if (problem) process.stderr.write(`${service.name}: ${problem}\n`);
    else log.fatal({ err: error }, 'unable to start');
    process.exit(1);
  }
}
