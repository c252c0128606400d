// `npm start`: API, relay and demo page together, on embedded defaults. No database and no Redis needed.
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { runTogether, withDemo } from './processes.mjs';

process.chdir(fileURLToPath(new URL('..', import.meta.url)));
if (existsSync('.env')) process.loadEnvFile('.env');
const env = withDemo(process.env);
const apiUrl = `http://localhost:${env.API_PORT || 3000}`;
const relayUrl = env.RELAY_URL || `http://localhost:${env.RELAY_PORT || 3001}`;

runTogether(
  {
    relay: [process.execPath, 'services/socket-relay/dist/main.js'],
    api: [process.execPath, 'services/api/dist/main.js'],
  },
  { env: { ...env, API_URL: env.API_URL ?? apiUrl, RELAY_URL: relayUrl } },
);

/** Ready when both answer; whoever fails to start says why and ends us. */
async function untilReady(url) {
  while (process.exitCode === undefined) {
    const answer = await fetch(url).catch(() => undefined);
    await answer?.body?.cancel();
    if (answer?.ok) return true;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  return false;
}

if ((await untilReady(`${relayUrl}/livez`)) && (await untilReady(`${apiUrl}/readyz`))) {
  const page = env.DEMO === '1' ? `open ${apiUrl} in two browser windows` : `API at ${apiUrl}, relay at ${relayUrl}`;
  console.log(`\n  Groupcast is ready: ${page}\n`);
}
