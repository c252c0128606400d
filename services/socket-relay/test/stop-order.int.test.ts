import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { MessageChannel, type MessagePort } from 'node:worker_threads';
import { TEST_SECRETS } from '@groupcast/testing';
import { pino } from 'pino';
import { afterEach, expect, test } from 'vitest';
import { createBus } from '../src/cluster/local-bus/bus.ts';
import { readRelayConfig } from '../src/config.ts';
import { createMemoryGroupLog } from '../src/group-log/memory-group-log.ts';
import { createEndpoint, type Endpoint } from '../src/ipc/endpoint.ts';
import type { WorkerContext } from '../src/ipc/worker-context.ts';
import { startRelay } from '../src/relay.ts';

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup();
});

function endpointOn(port: MessagePort): Endpoint {
  cleanups.push(() => port.close());
  const post = (message: object, sent?: (error: null) => void): void => {
    port.postMessage(message);
    sent?.(null);
  };
  return createEndpoint({ post, onMessage: (listener) => void port.on('message', listener) });
}

/** A worker of a primary that is in this process, and the steps of its stop as they happen. */
function startWorker(): { worker: WorkerContext; steps: string[]; log: pino.Logger } {
  const steps: string[] = [];
  const log = pino({ level: 'info' }, { write: (line: string) => void steps.push(String(JSON.parse(line).msg)) });
  const groupLog = createMemoryGroupLog({ size: 10, bytes: 10_000, ttlMs: 60_000, totalBytes: 100_000 });
  const bus = createBus({ groupLog, memoryMs: 60_000, maxEntries: 100, log });
  cleanups.push(async () => bus.stop());
  const { port1, port2 } = new MessageChannel();
  bus.serve(endpointOn(port1));
  const primary = endpointOn(port2);
  const worker: WorkerContext = {
    number: 1,
    machine: 'machine',
    primary: {
      ...primary,
      async ask<T>(method: string, ...args: unknown[]): Promise<T> {
        if (method === 'renew' && args[0] === 0) steps.push('gives its lease back');
        return primary.ask<T>(method, ...args);
      },
    },
    createRouter(http) {
      http.once('close', () => steps.push('closes its server'));
      return {
        listen: async () => ({ port: await listening(http), close: () => steps.push('closes its port') }),
        take: () => undefined,
        close: async () => void steps.push('closes its router'),
      };
    },
    allDrained: async () => void steps.push('waits for the other workers'),
  };
  return { worker, steps, log };
}

async function listening(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return (server.address() as AddressInfo).port;
}

const configOf = (internalPort: number) =>
  readRelayConfig({
    ...TEST_SECRETS,
    API_URL: '',
    RELAY_INTERNAL_PORT: String(internalPort),
    SHUTDOWN_DRAIN_SECONDS: '0',
  });

const IN_ORDER = [
  'draining',
  'drained',
  'waits for the other workers',
  'closes its port',
  'closes its router',
  'closes its server',
  'gives its lease back',
];

test('a relay that stops drains, waits for the other workers, closes its ports, and then leaves the others', async () => {
  const { worker, steps, log } = startWorker();
  const relay = await startRelay(configOf(0), log, worker);
  steps.length = 0;
  await relay.close();
  expect(steps).toEqual(IN_ORDER);
});

test('a relay whose second port is taken stops in the same order, and says why it could not start', async () => {
  const { worker, steps, log } = startWorker();
  const other = createServer();
  cleanups.push(() => other.close());
  const taken = await listening(other);
  await expect(startRelay(configOf(taken), log, worker)).rejects.toMatchObject({ code: 'EADDRINUSE' });
  expect(steps.slice(-IN_ORDER.length)).toEqual(IN_ORDER);
});

test('a relay whose primary fails while it starts has stopped what it had started', async () => {
  const { worker, steps, log } = startWorker();
  const { primary } = worker;
  const fails = async <T>(method: string, ...args: unknown[]): Promise<T> => {
    if (method === 'follow-changes') throw new Error('the primary is gone');
    return primary.ask<T>(method, ...args);
  };
  await expect(startRelay(configOf(0), log, { ...worker, primary: { ...primary, ask: fails } })).rejects.toThrow(
    'gone',
  );
  expect(steps).toEqual(['gives its lease back']);
});
