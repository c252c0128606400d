#!/usr/bin/env node
import { runService } from '@groupcast/service-kit';
import { startApi } from './api.ts';
import { readApiConfig } from './config.ts';

await runService({ name: 'api', readConfig: readApiConfig, start: startApi });
