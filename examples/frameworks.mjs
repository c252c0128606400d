// `npm run example -- next` and `-- nest`. They are no workspaces, which would double the installation of the repository: each has a lock of
// its own, and is installed when it is started first.
import { spawnSync } from 'node:child_process';
import { createHmac } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { apiUrlOf, runTogether, withOneUrl, withoutPort, withUrls } from '../scripts/processes.mjs';

const RELAY = [process.execPath, 'services/socket-relay/dist/main.js'];
const API = [process.execPath, 'services/api/dist/main.js'];

const writtenAt = (file) => statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? 0;

/** Runs npm in the folder of an example, and ends this process where that fails. */
function npm(folder, ...words) {
  const { status } = spawnSync('npm', words, { cwd: folder, stdio: ['ignore', 'inherit', 'inherit'] });
  if (status !== 0) process.exit(status ?? 1);
}

/** Installs what the lock names, and our packages as they are built now. */
function install(folder) {
  const { dependencies } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
  const ours = Object.values(dependencies).filter((where) => where.startsWith('file:'));
  const sources = [
    join(folder, 'package-lock.json'),
    ...ours.map((where) => join(folder, where.slice(5), 'dist/index.js')),
  ];
  // npm writes this file last, so it is newer than everything only after a complete installation.
  const installed = writtenAt(join(folder, 'node_modules/.package-lock.json'));
  if (sources.every((file) => writtenAt(file) < installed)) return;
  console.log(`installing ${folder}`);
  npm(folder, 'ci', '--no-audit', '--no-fund', '--loglevel=error');
}

/** `seed` makes people and chats in the API whose environment it gets. */
function startNext({ base, pages, seed }) {
  const folder = 'examples/next';
  install(folder);
  const env = withUrls(withOneUrl({ ...base, CLIENT_URL: pages }));
  const next = {
    ...env,
    API_URL: apiUrlOf(env),
    SESSION_SECRET: createHmac('sha256', base.JWT_SECRET).update('sessions of examples/next').digest('hex'),
    NEXT_TELEMETRY_DISABLED: '1',
  };
  const program = [`${folder}/node_modules/next/dist/bin/next`, 'dev', folder, '--port', new URL(pages).port];
  const waiting = new Set(['api', 'socket-relay']);
  runTogether(
    { relay: RELAY, api: API, next: [process.execPath, ...program] },
    {
      envOf: (service) => (service === 'next' ? next : service === 'relay' ? withoutPort(env) : env),
      onMessage(message) {
        if (!waiting.delete(message?.listening) || waiting.size > 0) return;
        seed(env).then(
          () => console.log(`\n  Next.js is ready: open ${pages} in two browsers\n`),
          (error) => {
            console.error(error);
            process.exit(1);
          },
        );
      },
    },
  );
}

function startNest({ base, pages }) {
  const folder = 'examples/nest';
  install(folder);
  npm(folder, 'run', '--silent', 'build');
  const relayUrl = `http://localhost:${process.env.RELAY_PORT || 3001}`;
  const env = { ...base, API_URL: pages, RELAY_URL: relayUrl, CLIENT_URL: pages, RELAY_DIALECTS: 'underscore-message' };
  const nest = { ...env, PORT: new URL(pages).port, JOURNAL_FILE: join(base.DATA_DIR, 'nest.jsonl') };
  const waiting = new Set(['socket-relay', 'nest']);
  runTogether(
    { relay: RELAY, nest: [process.execPath, `${folder}/dist/main.js`] },
    {
      envOf: (service) => (service === 'nest' ? nest : withoutPort(env)),
      onMessage({ listening }) {
        if (!waiting.delete(listening) || waiting.size > 0) return;
        console.log(`\n  NestJS is ready: open ${pages} in two browsers\n`);
      },
    },
  );
}

export const FRAMEWORKS = { next: startNext, nest: startNest };
