#!/usr/bin/env node
import { runService } from '@groupcast/service-kit';
import { readRelayConfig } from './config.ts';
import { startRelay } from './relay.ts';

await runService({ name: 'socket-relay', readConfig: readRelayConfig, start: startRelay });
