#!/usr/bin/env node
// The command of the image: `groupcast`, and beside its commands `health`, which asks the service that runs here.
import { readFileSync } from 'node:fs';

const SERVICES = {
  relay: { host: 'RELAY_INTERNAL_HOST', port: 'RELAY_INTERNAL_PORT', usual: 3002 },
  api: { host: 'API_INTERNAL_HOST', port: 'API_INTERNAL_PORT', usual: 3003 },
};
/** The command's own deadline, below the one of `HEALTHCHECK`, so that the reason is said. */
const DEADLINE_MS = 4_000;
const EVERY_ADDRESS = new Set(['', '0.0.0.0', '::', '[::]']);
const EXIT_USAGE = 64;

/** The service of this container: process 1 (or tini's child) was started as `groupcast relay` or `groupcast api`. */
function serviceOfContainer() {
  const words = readFileSync('/proc/1/cmdline', 'utf8').split('\0');
  const at = words.findIndex((word) => word === 'groupcast' || word.endsWith('/groupcast'));
  return words[at + 1];
}

async function health(name = serviceOfContainer()) {
  const service = SERVICES[name];
  if (service === undefined) {
    console.error('unable to tell which service runs here; say it: groupcast health relay, or groupcast health api');
    return EXIT_USAGE;
  }
  const host = process.env[service.host]?.trim() ?? '';
  const address = EVERY_ADDRESS.has(host) ? '127.0.0.1' : host;
  const url = `http://${address.includes(':') ? `[${address}]` : address}:${process.env[service.port] || service.usual}/livez`;
  try {
    const { status } = await fetch(url, { signal: AbortSignal.timeout(DEADLINE_MS) });
    if (status === 200) return 0;
    console.error(`unhealthy; ${url} answered ${status}`);
  } catch (error) {
    console.error(`unhealthy; ${url}: ${error.cause?.code ?? error.message}`);
  }
  return 1;
}

const [command, ...rest] = process.argv.slice(2);
if (command === 'health') process.exitCode = await health(...rest);
else await import('../../packages/groupcast/bin/groupcast.js');
