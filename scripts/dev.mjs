// `npm run dev`: both services from their sources, restarted on every change. `npm run socket:dev`: the relay alone.

import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { runTogether, withDemo, withOneUrl, withoutApi, withoutPort, withUrls } from './processes.mjs';

process.chdir(fileURLToPath(new URL('..', import.meta.url)));
const setup = spawnSync('bash', ['scripts/setup.sh', 'deps'], { stdio: 'inherit' });
if (setup.status !== 0) process.exit(setup.status ?? 1);

const only = process.argv[2];
const watch = (service) => [
  process.execPath,
  'node_modules/tsx/dist/cli.mjs',
  'watch',
  '--clear-screen=false',
  '--conditions=@groupcast/source',
  `services/${service}/src/main.ts`,
];
const services = only ? [only] : ['socket-relay', 'api'];
const commands = Object.fromEntries(services.map((service) => [service, watch(service)]));
if (!only) commands.demo = [process.execPath, 'node_modules/vite/bin/vite.js', 'build', '--watch', 'apps/demo'];
if (existsSync('.env')) process.loadEnvFile('.env');
const env = only ? withoutApi(process.env) : withUrls(withDemo(withOneUrl(process.env)));
runTogether(commands, { envOf: (name) => (!only && name === 'socket-relay' ? withoutPort(env) : env) });
