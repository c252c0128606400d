// `npm run example -- <name>`: Groupcast as the example needs it, and the example, on this machine alone.
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { apiUrlOf, runTogether, withOneUrl, withoutPort, withUrls } from '../scripts/processes.mjs';
import { FRAMEWORKS } from './frameworks.mjs';
import { FRONT_ENDS } from './front-ends.mjs';
import { signToken } from './sign-token.mjs';

process.chdir(fileURLToPath(new URL('..', import.meta.url)));

const RELAY = [process.execPath, 'services/socket-relay/dist/main.js'];
const API = [process.execPath, 'services/api/dist/main.js'];
const PAGES = `http://localhost:${process.env.EXAMPLE_PORT || 4000}`;

/** Secrets of the examples, made once: a session outlives a restart. */
function secretsIn(folder) {
  const file = join(folder, 'secrets.json');
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  if (!existsSync(file)) {
    const [user, service] = [randomBytes(32).toString('hex'), randomBytes(32).toString('hex')];
    writeFileSync(file, JSON.stringify({ JWT_SECRET: user, RELAY_SERVICE_SECRET: service }), { mode: 0o600 });
  }
  return JSON.parse(readFileSync(file, 'utf8'));
}

const dataDir = process.env.DATA_DIR ?? '.groupcast/examples';
const base = { ...process.env, DATA_DIR: dataDir, DEMO: '0', ...secretsIn(dataDir) };

/** People and chats, as their own back end would make them: by the API. */
async function seed({ people, chats }, env) {
  const call = async (user, method, path, body) => {
    const token = signToken({ sub: user, name: people[user] }, env.JWT_SECRET);
    const headers = { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' };
    const response = await fetch(`${apiUrlOf(env)}${path}`, { method, headers, body: JSON.stringify(body) });
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`);
  };
  const ids = Object.keys(people);
  for (const id of ids) {
    const email = `${people[id].toLowerCase()}@example.com`;
    await call(id, 'PUT', '/api/users/me', { name: people[id], custom: { email } });
  }
  for (const { id, name } of chats) await call(ids[0], 'POST', '/api/messaging/groups', { id, name, memberIds: ids });
}

function startFrontEnd(name) {
  const frontEnd = FRONT_ENDS[name];
  const origins = `${PAGES},${PAGES.replace('localhost', '127.0.0.1')}`;
  const env = withUrls(withOneUrl({ ...base, CLIENT_URL: origins, ...frontEnd.env }));
  const pages = { ...env, API_PUBLIC_URL: apiUrlOf(env), RELAY_PUBLIC_URL: env.RELAY_URL };
  const waiting = new Set(['api', 'socket-relay', 'pages']);
  runTogether(
    { relay: RELAY, api: API, pages: [process.execPath, 'examples/serve.mjs', name] },
    {
      envOf: (service) => (service === 'pages' ? pages : service === 'relay' ? withoutPort(env) : env),
      onMessage({ listening }) {
        if (!waiting.delete(listening) || waiting.size > 0) return;
        seed(frontEnd, env).then(
          () => console.log(`\n  ${name} is ready: open ${PAGES} in two browsers\n`),
          (error) => {
            console.error(error);
            process.exit(1);
          },
        );
      },
    },
  );
}

function startExpress() {
  const port = process.env.API_PORT || '3000';
  const url = `http://localhost:${port}`;
  const env = {
    ...base,
    API_URL: url,
    RELAY_URL: `http://localhost:${process.env.RELAY_PORT || 3001}`,
    CLIENT_URL: `${url},${url.replace('localhost', '127.0.0.1')}`,
    AUTH_TOKEN_FROM: 'cookie:token,auth',
    RELAY_DIALECTS: 'conversation-colon,underscore-events',
    RELAY_DIALECT: 'conversation-colon',
  };
  const express = { ...env, PORT: port, DATABASE_FILE: join(dataDir, 'express.db') };
  const waiting = new Set(['socket-relay', 'express']);
  runTogether(
    { relay: RELAY, express: [process.execPath, 'examples/express/server.js'] },
    {
      envOf: (service) => (service === 'express' ? express : withoutPort(env)),
      onMessage({ listening }) {
        if (!waiting.delete(listening) || waiting.size > 0) return;
        console.log(`\n  Express is ready: open ${url} in two browsers\n`);
      },
    },
  );
}

function startPython() {
  const [port, internalPort] = [process.env.RELAY_PORT || 3001, process.env.RELAY_INTERNAL_PORT || 3002];
  const env = {
    ...base,
    API_URL: '',
    RELAY_WS_PATH: '/ws',
    RELAY_WS_URL: `ws://127.0.0.1:${port}/ws`,
    RELAY_INTERNAL_URL: `http://127.0.0.1:${internalPort}`,
    PYTHONUNBUFFERED: '1',
    PYTHONDONTWRITEBYTECODE: '1',
  };
  runTogether(
    {
      relay: RELAY,
      listener: ['python3', 'examples/python/listen.py', '--user', 'alice', '--group', '7'],
      publisher: ['python3', 'examples/python/publish.py', '--group', '7', '--every', '2', 'Hello from Python'],
    },
    { envOf: () => env, onMessage: () => undefined },
  );
}

const name = process.argv[2];
if (name === 'express') startExpress();
else if (name === 'python') startPython();
else if (Object.hasOwn(FRAMEWORKS, name ?? '')) {
  FRAMEWORKS[name]({ base, pages: PAGES, seed: async (env) => seed(FRONT_ENDS['plain-html'], env) });
} else if (Object.hasOwn(FRONT_ENDS, name ?? '')) startFrontEnd(name);
else {
  console.error(
    `usage: npm run example -- <name>\nnames: ${[...Object.keys(FRONT_ENDS), 'express', 'python', ...Object.keys(FRAMEWORKS)].join(', ')}`,
  );
  process.exitCode = 64;
}
