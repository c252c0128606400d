import { fileURLToPath } from 'node:url';
import { apiUrlOf, runTogether } from '../../../../scripts/processes.mjs';
import type { Variables } from '../command.ts';
import { builtFile, type ServiceName } from './places.ts';
import { startVariables } from './start-variables.ts';

/** Runs until a signal stops it. It has this process for itself: signals, output and the exit code are its own. */
export interface Program {
  name: string;
  /** One line of the overall help. */
  summary: string;
  /** The output of `--help`. */
  usage: string;
  run(env: Variables): Promise<void>;
}

const EXITS = `A wrong configuration exits 78 and names every variable that is wrong.
`;

async function runService(service: ServiceName): Promise<void> {
  await import(builtFile(service, 'main.js').href);
}

/** Both services as processes of their own. It has not ended before both of them have. */
async function runBoth(given: Variables): Promise<void> {
  const env = startVariables(given);
  const { api } = env;
  const page =
    api['DEMO'] === '1'
      ? `open ${apiUrlOf(api)} in two browser windows`
      : `API at ${apiUrlOf(api)}, relay at ${api['RELAY_URL']}`;
  const waiting = new Set(['api', 'socket-relay']);
  runTogether(
    {
      relay: [process.execPath, fileURLToPath(builtFile('relay', 'main.js'))],
      api: [process.execPath, fileURLToPath(builtFile('api', 'main.js'))],
    },
    {
      envOf: (name) => (name === 'relay' ? env.relay : env.api),
      // Each says so itself: somebody else may be listening on its port.
      onMessage({ listening = '' }) {
        if (waiting.delete(listening) && waiting.size === 0) console.log(`\n  Groupcast is ready: ${page}\n`);
      },
    },
  );
}

export const PROGRAMS: readonly Program[] = [
  {
    name: 'start',
    summary: 'run API, relay and demo page together, on embedded defaults',
    usage: `Usage: groupcast start

Runs the API and the relay, with an embedded database and without Redis, and serves the
demo page at the address that it prints, unless DEMO=0. One address serves REST and
Socket.IO both. What it keeps is in DATA_DIR, by default .groupcast in this folder.

Variables come from the environment and from .env in this folder, as for the services.
A signal stops both in order; when one of them ends, the other is stopped.
${EXITS}`,
    run: runBoth,
  },
  {
    name: 'relay',
    summary: 'run a relay alone',
    usage: `Usage: groupcast relay

Runs one relay. API_URL says where your back end is asked; empty, that there is none.
Variables come from the environment and from .env in this folder.
SIGINT, SIGTERM and SIGHUP stop it in order, and it exits 0; a second one does not wait.
${EXITS}`,
    run: async () => runService('relay'),
  },
  {
    name: 'api',
    summary: 'run the messaging API alone',
    usage: `Usage: groupcast api

Runs the messaging API on DATABASE_URL, or on an embedded database in DATA_DIR.
RELAY_URL says where its relay is. Variables come from the environment and from .env in
this folder.
SIGINT, SIGTERM and SIGHUP stop it in order, and it exits 0; a second one does not wait.
${EXITS}`,
    run: async () => runService('api'),
  },
];
