#!/usr/bin/env node
import { runService } from '@groupcast/service-kit';
import { readRelayConfig } from './config.ts';
import { startRelay } from './relay.ts';
import { startWorkers } from './workers/primary.ts';
import { PLACE_VARIABLE, runWorker } from './workers/worker.ts';

const place = process.env[PLACE_VARIABLE];
if (place === undefined) {
  await runService({
    name: 'socket-relay',
    readConfig: readRelayConfig,
    start: async (config, log) => (config.workers === 1 ? startRelay(config, log) : startWorkers(config, log)),
  });
} else {
  await runWorker(place);
}
