import cluster from 'node:cluster';
import type { Socket } from 'node:net';
import { hostname } from 'node:os';
import { basename } from 'node:path';
import { ConfigurationError, createLogger, outliveTerminal, StartFailure, startTraced } from '@groupcast/service-kit';
import { readRelayConfig } from '../config.ts';
import { createEndpoint, type Port } from '../ipc/endpoint.ts';
import { createSessionRouter, type HandedOver, type SessionRouter } from '../ipc/session-router.ts';
import type { WorkerContext } from '../ipc/worker-context.ts';
import { startRelay } from '../relay.ts';

/** The variable in which the primary gives a worker its number and folder, as JSON. */
export const WORKER_VARIABLE = 'GROUPCAST_RELAY_WORKER';

/** A socket on its way to another process, with the bytes that were read from it already. */
export interface HandOverMessage {
  handedOver: HandedOver;
}

export function isHandOver(message: unknown): message is HandOverMessage {
  return typeof message === 'object' && message !== null && 'handedOver' in message;
}

const toPrimary: Port = {
  post(message, sent) {
    if (process.connected) process.send?.(message, undefined, undefined, sent);
    else sent?.(new Error('the primary is gone'));
  },
  onMessage: (listener) => void process.on('message', listener),
};

/** Runs a worker: it says when it is ready or why it cannot be, stops when it is told to, and ends with its primary. */
export async function runWorker(given: string): Promise<void> {
  const { worker, folder } = JSON.parse(given) as { worker: number; folder: string };
  const config = readRelayConfig(process.env);
  const log = createLogger({ name: 'socket-relay', level: config.logLevel, production: config.production }).child({
    worker,
  });
  outliveTerminal();
  const primary = createEndpoint(toPrimary);
  let router: SessionRouter | undefined;
  process.on('message', (message: unknown, socket: unknown) => {
    if (!isHandOver(message) || !socket) return;
    if (router) router.take(message.handedOver, socket as Socket);
    else (socket as Socket).destroy();
  });
  cluster.worker?.once('disconnect', () => {
    log.fatal('the primary process is gone');
    process.exit(1);
  });

  const othersDrained = new Promise<void>((resolve) => primary.answer('all-drained', resolve));
  const context: WorkerContext = {
    number: worker,
    // The folder is the primary's own, and two machines may have one of the same name.
    machine: `${hostname()}-${basename(folder)}`,
    primary,
    async allDrained() {
      primary.tell('drained');
      await othersDrained;
    },
    createRouter(http, limit, isPlain) {
      router = createSessionRouter({
        http,
        limit,
        isPlain,
        worker,
        folder,
        log,
        handOver(handedOver, socket, failed) {
          const message: HandOverMessage = { handedOver };
          process.send?.(message, socket, undefined, (error) => {
            if (error) failed();
          });
        },
      });
      return router;
    },
  };
  const starting = startTraced(config.tracing, { service: 'socket-relay', log }, async () =>
    startRelay(config, log, context),
  );

  let stopping: Promise<void> | undefined;
  function stop(): void {
    stopping ??= starting
      .then(async (relay) => relay.close())
      .then(
        () => process.exit(0),
        (error: unknown) => {
          log.error({ err: error }, 'unable to stop in order');
          process.exit(1);
        },
      );
  }
  primary.answer('stop', stop);
  primary.answer('ping', () => true);
  process.on('SIGTERM', stop);
  // A terminal sends these signals to every process. The primary decides what happens then.
  for (const signal of ['SIGINT', 'SIGHUP', 'SIGQUIT']) process.on(signal, () => undefined);

  try {
    const { port, internalPort } = await starting;
    primary.tell('ready', { port, internalPort });
  } catch (error) {
    const { code, syscall, address, port, message, stack } = error as NodeJS.ErrnoException & {
      address?: string;
      port?: number;
    };
    const problems = error instanceof ConfigurationError ? error.problems : undefined;
    const isPlain = error instanceof StartFailure;
    const failure = { code, syscall, address, port, message, stack, problems, isPlain };
    await primary.ask('failed', failure).catch(() => undefined);
    process.exit(1);
  }
}
