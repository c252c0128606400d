// `npm start`: API, relay and demo page together, on embedded defaults. No database and no Redis needed.
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { runTogether, withDemo } from './processes.mjs';

process.chdir(fileURLToPath(new URL('..', import.meta.url)));
if (existsSync('.env')) process.loadEnvFile('.env');
const env = withDemo(process.env);
const apiUrl = `http://localhost:${env.API_PORT || 3000}`;
const relayUrl = env.RELAY_URL || `http://localhost:${env.RELAY_PORT || 3001}`;
const page = env.DEMO === '1' ? `open ${apiUrl} in two browser windows` : `API at ${apiUrl}, relay at ${relayUrl}`;

const waiting = new Set(['api', 'socket-relay']);
runTogether(
  {
    relay: [process.execPath, 'services/socket-relay/dist/main.js'],
    api: [process.execPath, 'services/api/dist/main.js'],
  },
  {
    env: { ...env, API_URL: env.API_URL ?? apiUrl, RELAY_URL: relayUrl },
    // Each says so itself: somebody else may be listening on its port.
    onMessage(message) {
      if (waiting.delete(message.listening) && waiting.size === 0) console.log(`\n  Groupcast is ready: ${page}\n`);
    },
  },
);
