#!/usr/bin/env node
import { runService } from '@groupcast/service-kit';
import { readRelayConfig } from './config.ts';
import { startRelay } from './relay.ts';
import { startWorkers } from './workers/primary.ts';
import { runWorker, WORKER_VARIABLE } from './workers/worker.ts';

const worker = process.env[WORKER_VARIABLE];
if (worker === undefined) {
  await runService({
    name: 'socket-relay',
    readConfig: readRelayConfig,
    start: async (config, log) => (config.workers === 1 ? startRelay(config, log) : startWorkers(config, log)),
  });
} else {
  await runWorker(worker);
}
