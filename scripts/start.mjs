// `npm start`: API, relay and demo page together, on embedded defaults. No database and no Redis needed.
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { apiUrlOf, runTogether, withDemo, withOneUrl, withoutPort, withUrls } from './processes.mjs';

process.chdir(fileURLToPath(new URL('..', import.meta.url)));
if (existsSync('.env')) process.loadEnvFile('.env');
const env = withUrls(withDemo(withOneUrl(process.env)));
const apiUrl = apiUrlOf(env);
const page = env.DEMO === '1' ? `open ${apiUrl} in two browser windows` : `API at ${apiUrl}, relay at ${env.RELAY_URL}`;

const waiting = new Set(['api', 'socket-relay']);
runTogether(
  {
    relay: [process.execPath, 'services/socket-relay/dist/main.js'],
    api: [process.execPath, 'services/api/dist/main.js'],
  },
  {
    envOf: (name) => (name === 'relay' ? withoutPort(env) : env),
    // Each says so itself: somebody else may be listening on its port.
    onMessage(message) {
      if (waiting.delete(message.listening) && waiting.size === 0) console.log(`\n  Groupcast is ready: ${page}\n`);
    },
  },
);
