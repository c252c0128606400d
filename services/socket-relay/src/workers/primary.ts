import cluster, { type Worker } from 'node:cluster';
import { mkdtempSync, rmSync } from 'node:fs';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ConfigurationError, type Logger, StartFailure } from '@groupcast/service-kit';
import { type Bus, createBus } from '../cluster/local-bus/bus.ts';
import type { RelayConfig } from '../config.ts';
import { createWorkersDrain } from '../drain/machine-drain.ts';
import { createMemoryGroupLog } from '../group-log/memory-group-log.ts';
import { createEndpoint, type Endpoint, type Port } from '../ipc/endpoint.ts';
import { stopReading } from '../ipc/session-router.ts';
import { createRelayMetrics } from '../metrics/relay-metrics.ts';
import { createPageSessions, servePageSessions } from '../monitor-page/page-sessions.ts';
import { announceListening } from '../public-server.ts';
import type { Relay } from '../relay.ts';
import { createMachineView } from './machine-view.ts';
import { isHandOver, WORKER_VARIABLE } from './worker.ts';

interface Ports {
  port: number;
  internalPort: number;
}

interface Failure {
  /** The problems of a `ConfigurationError`, of which one message for all of them is made. */
  problems?: readonly string[];
  /** Whether the message is that of a `StartFailure`, which is shown without a stack. */
  isPlain?: boolean;
  code?: string;
  syscall?: string;
  address?: string;
  port?: number;
  message: string;
  stack?: string;
}

interface Slot {
  number: number;
  process: Worker;
  endpoint: Endpoint;
  ready: boolean;
  /** Whether it is stopping, and has no connections any more. */
  drained: boolean;
  /** Pings in a row without an answer. */
  missed: number;
  readyAt: number;
}

const MIN_RESTART_MS = 100;
const MAX_RESTART_MS = 10_000;
/** How long a worker has to be ready, in milliseconds, to be restarted as if it had never ended. */
const STEADY_MS = 30_000;
/** Pings within one lease. A worker that misses all of them is killed. */
const PINGS = 5;
/**
 * How much longer than a drain a stopping worker may take, in milliseconds. It needs a second at most; then it is killed, because the
 * others wait for it.
 */
const DRAIN_MARGIN_MS = 3_000;
/**
 * How long a drained worker that was told to stop by somebody else stays, in milliseconds: a signal to the whole process group (systemd's
 * default) may come to workers first, and then they all stop together.
 */
const ALONE_AFTER_MS = 2_000;
/** How long a worker may take to answer, in milliseconds. It is less than a worker waits for the primary, which may have to ask all of them. */
const ANSWER_MS = 1_000;

function portOf(worker: Worker): Port {
  return {
    post(message, sent) {
      if (worker.isConnected()) worker.send(message, undefined, undefined, sent);
      else sent?.(new Error('the worker is gone'));
    },
    onMessage: (listener) => void worker.on('message', listener),
  };
}

/**
 * The relays of one machine as one: on its two ports, to its signals, and in its metrics. Resolves when all workers are ready; throws the
 * reason if the first one cannot start, leaving nothing running. A worker that ends is started again, for ever, ever more slowly.
 */
export async function startWorkers(config: RelayConfig, log: Logger): Promise<Relay> {
  const folder = mkdtempSync(join(tmpdir(), 'groupcast-relay-'));
  const slots = new Map<number, Slot>();
  const restarts = new Map<number, NodeJS.Timeout>();
  const attempts = new Map<number, number>();
  const metrics = createRelayMetrics();
  const bus = config.redis ? undefined : openBus();
  const pageSessions = createPageSessions();
  let stopping = false;

  function openBus(): Bus {
    const groupLog = createMemoryGroupLog(config.history);
    metrics.watchLog(() => groupLog.stats());
    return createBus({ groupLog, memoryMs: config.removalMemoryMs, maxEntries: config.removalMemoryEntries, log });
  }
  let started: (ports: Ports) => void = () => undefined;
  let failed: (error: Error) => void = () => undefined;
  const starting = new Promise<Ports>((resolve, reject) => {
    started = resolve;
    failed = reject;
  });
  const numbers = Array.from({ length: config.workers }, (_, index) => index + 1);
  const readyAt = (number: number): Slot | undefined => (slots.get(number)?.ready ? slots.get(number) : undefined);
  const view = createMachineView({
    workers: () => numbers.map((number) => readyAt(number)?.endpoint),
    registry: metrics.registry,
  });
  const drain = createWorkersDrain({
    // Workers that have stopped are drained.
    workers: () =>
      numbers.filter((number) => !stopping || slots.has(number)).map((number) => readyAt(number)?.endpoint),
  });

  function fork(number: number): void {
    const worker = cluster.fork({ [WORKER_VARIABLE]: JSON.stringify({ worker: number, folder }) });
    const endpoint = createEndpoint(portOf(worker), ANSWER_MS);
    const slot: Slot = { number, process: worker, endpoint, ready: false, drained: false, missed: 0, readyAt: 0 };
    slots.set(number, slot);
    worker.on('message', (message: unknown, socket: unknown) => {
      if (isHandOver(message) && socket) handOver(message, socket as Socket);
    });
    endpoint.answer('ready', (ports: Ports) => {
      Object.assign(slot, { ready: true, readyAt: performance.now() });
      drain.join(endpoint);
      if (numbers.every(readyAt)) started(ports);
    });
    endpoint.answer('failed', ({ message, problems, isPlain, ...rest }: Failure) => {
      log.error({ worker: number, ...rest }, `a worker is unable to start: ${message}`);
      if (problems) failed(new ConfigurationError(problems));
      else failed(isPlain ? new StartFailure(message) : Object.assign(new Error(message), rest));
    });
    endpoint.answer('drained', () => {
      slot.drained = true;
      if (stopping) letDrainedGo();
      else setTimeout(letDrainedGo, ALONE_AFTER_MS).unref();
    });
    endpoint.answer('machine-health', async () => view.health());
    endpoint.answer('machine-metrics', async () => view.metrics());
    endpoint.answer('machine-drain-progress', async () => drain.ask('drain-progress'));
    endpoint.answer('machine-drain-begin', async (ms?: number) => drain.ask('drain-begin', ms ?? config.drainMs));
    endpoint.answer('machine-drain-undo', async () => drain.ask('drain-undo'));
    endpoint.answer('machine-drain-recovered', async () => drain.recovered());
    servePageSessions(endpoint, pageSessions);
    const leave = bus?.serve(endpoint);
    const end = (reason: string | number): void => {
      if (slots.get(number) !== slot) return;
      leave?.();
      ended(slot, reason);
    };
    worker.once('exit', (code, signal) => end(signal ?? code));
    // There is no process, because the system has no descriptors or no memory for one now.
    worker.on('error', (error) => {
      if (worker.process.pid === undefined) end(error.message);
      else log.warn({ worker: number, err: error }, 'unable to reach a worker');
    });
  }

  /** A worker that stops alone goes; workers that stop together stay until the last of them is drained. */
  function letDrainedGo(): void {
    const all = [...slots.values()];
    const isWaiting = stopping && all.some(({ drained }) => !drained);
    if (isWaiting) return;
    for (const { drained, endpoint } of all) if (drained) endpoint.tell('all-drained');
  }

  /** Brings a socket to the worker that has its session. */
  function handOver(message: { handedOver: { to: number } }, socket: Socket): void {
    const owner = readyAt(message.handedOver.to)?.process;
    stopReading(socket);
    socket.on('error', () => undefined);
    if (owner?.isConnected()) owner.send(message, socket, undefined, (error) => error && socket.destroy());
    else socket.destroy();
  }

  function ended(slot: Slot, reason: string | number): void {
    const { number, endpoint } = slot;
    endpoint.close();
    slots.delete(number);
    if (stopping) {
      letDrainedGo();
      return;
    }
    failed(new Error(`worker ${number} ended while it started, with ${reason}`));
    const wasSteady = slot.ready && performance.now() - slot.readyAt > STEADY_MS;
    const attempt = wasSteady ? 0 : (attempts.get(number) ?? 0);
    attempts.set(number, attempt + 1);
    const inMs = Math.min(MAX_RESTART_MS, MIN_RESTART_MS * 2 ** attempt);
    log.warn({ worker: number, reason, inMs }, 'a worker has ended; starting another');
    restarts.set(
      number,
      setTimeout(() => fork(number), inMs),
    );
  }

  function ping(slot: Slot): void {
    if (slot.missed >= PINGS) {
      log.error({ worker: slot.number }, 'a worker does not answer; ending it');
      slot.process.process.kill('SIGKILL');
      return;
    }
    slot.missed += 1;
    slot.endpoint.ask('ping').then(
      () => {
        slot.missed = 0;
      },
      () => undefined,
    );
  }
  const pinging = setInterval(() => {
    for (const slot of slots.values()) if (slot.ready) ping(slot);
  }, config.leaseMs / PINGS);

  async function gone(slot: Slot): Promise<void> {
    if (slots.get(slot.number) !== slot) return;
    await new Promise((resolve) => slot.process.once('exit', resolve));
  }

  async function close(): Promise<void> {
    stopping = true;
    for (const timer of restarts.values()) clearTimeout(timer);
    clearInterval(pinging);
    const running = [...slots.values()];
    for (const { endpoint, ready, process } of running) {
      if (ready) endpoint.tell('stop');
      else process.process.kill('SIGKILL');
    }
    /** Kills those that are not as far as they should be. */
    function end(isLate: (slot: Slot) => boolean): void {
      for (const slot of running) {
        if (slot.process.isDead() || !isLate(slot)) continue;
        log.error({ worker: slot.number }, 'a worker does not stop; ending it');
        slot.process.process.kill('SIGKILL');
      }
    }
    const timers = [
      setTimeout(() => end(({ drained }) => !drained), config.drainMs + DRAIN_MARGIN_MS),
      setTimeout(() => end(() => true), config.drainMs + 2 * DRAIN_MARGIN_MS),
    ];
    await Promise.all(running.map(gone));
    for (const timer of timers) clearTimeout(timer);
    await bus?.stop();
    rmSync(folder, { recursive: true, force: true });
  }

  cluster.setupPrimary({ serialization: 'advanced' });
  for (const number of numbers) fork(number);
  try {
    const ports = await starting;
    announceListening(config, ports, log);
    return { ...ports, close };
  } catch (error) {
    stopping = true;
    for (const { process } of slots.values()) process.process.kill('SIGKILL');
    await close();
    throw error;
  }
}
