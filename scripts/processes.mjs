// Runs the services as child processes, in groups of their own, so that Ctrl-C reaches them once, through us.
import { spawn } from 'node:child_process';
import { closeSync } from 'node:fs';
import { isatty } from 'node:tty';

/**
 * How the C library (glibc) keeps memory for Node: blocks of 2 kB and more come from the system and go back to it, the end of the heap goes
 * back from 32 kB on, and freed blocks are joined at once. By its own defaults a process keeps, for as long as it lives, much of what a crowd
 * of clients once needed, and each of V8's threads up to 2 MB (docs/adr/0011-bounds-before-trust.md). Other C libraries ignore the variable.
 */
export const MALLOC_TUNABLES =
  'glibc.malloc.mmap_threshold=2000:glibc.malloc.mmap_max=20000:glibc.malloc.trim_threshold=32768:glibc.malloc.top_pad=4096:glibc.malloc.mxfast=0';

/** Starts `commands` ({ name: [file, ...args] }); when one ends, the others are stopped and its exit code is ours. */
export function runTogether(commands, { env = process.env, envOf = () => env, onMessage } = {}) {
  const running = new Map();
  let stopping = false;

  function stop(signal) {
    if (stopping) return;
    stopping = true;
    for (const child of running.values()) child.kill(signal);
  }

  for (const [name, [file, ...args]] of Object.entries(commands)) {
    const child = spawn(file, args, {
      stdio: ['ignore', 'inherit', 'inherit', ...(onMessage ? ['ipc'] : [])],
      env: { GLIBC_TUNABLES: MALLOC_TUNABLES, ...envOf(name) },
      detached: true,
    });
    if (onMessage) child.on('message', onMessage);
    running.set(name, child);
    child.on('exit', (code, signal) => {
      running.delete(name);
      if (!stopping) {
        const others = running.size > 0 ? `; stopping ${[...running.keys()].join(' and ')}` : '';
        console.error(`${name} has ended (${signal ?? `exit ${code}`})${others}`);
        process.exitCode = code === 0 ? 1 : (code ?? 1);
        stop('SIGTERM');
      }
    });
  }
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT']) process.on(signal, () => stop('SIGTERM'));
  // A terminal that was closed takes no more words, and that is no reason to leave before the others have ended.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined);
  const terminals = [0, 1, 2].filter((descriptor) => isatty(descriptor));
  process.on('exit', () => {
    // However this process ends, it leaves none of them behind.
    for (const child of running.values()) child.kill('SIGTERM');
    // Node aborts when it cannot reset a terminal that has gone; it leaves a closed one alone.
    for (const descriptor of terminals) if (!isatty(descriptor)) closeSync(descriptor);
  });
}

/** `DEMO` as `npm start` and `npm run dev` see it: on, unless it is set or this is production. */
export function withDemo(env) {
  return env.DEMO === undefined && env.NODE_ENV !== 'production' ? { ...env, DEMO: '1' } : env;
}

/** Where a service that listens on `host` is found from this machine. */
function urlOn(host, port) {
  if (!host || ['localhost', '0.0.0.0', '::', '[::]'].includes(host)) return `http://localhost:${port}`;
  return `http://${host.includes(':') && !host.startsWith('[') ? `[${host}]` : host}:${port}`;
}

/** A value that is no port is no part of a URL; the service names it. */
function portOr(fallback, given = '') {
  return /^\d+$/.test(given.trim()) ? given.trim() : fallback;
}

/** Where the API that was started here is found. */
export function apiUrlOf(env) {
  return urlOn(env.API_HOST, portOr(3000, env.PORT || env.API_PORT));
}

/** `API_RELAY_PROXY` as `npm start` sees it: on, unless it is set. */
export function withOneUrl(env) {
  return env.API_RELAY_PROXY === undefined ? { ...env, API_RELAY_PROXY: '1' } : env;
}

/** `PORT` is one port, which is the API's where both services are started. Empty, so that the relay does not read it in `.env` either. */
export function withoutPort(env) {
  return { ...env, PORT: '' };
}

/** Where API and relay find each other when only their addresses and ports were chosen. In production they have to be told. */
export function withUrls(env) {
  if (env.NODE_ENV === 'production') return env;
  const internalUrl = urlOn(env.API_INTERNAL_HOST || '127.0.0.1', portOr(3003, env.API_INTERNAL_PORT));
  // An `API_URL` that is set, or set to nothing, says where the API is asked.
  const apiUrls =
    env.API_URL === undefined ? { API_URL: apiUrlOf(env), API_INTERNAL_URL: env.API_INTERNAL_URL || internalUrl } : {};
  return { ...env, RELAY_URL: env.RELAY_URL || urlOn(env.RELAY_HOST, portOr(3001, env.RELAY_PORT)), ...apiUrls };
}

/** A relay that is started alone has no API unless `API_URL` names one: the internal port in `.env` is for both services. */
export function withoutApi(env) {
  if (env.NODE_ENV === 'production' || env.API_URL !== undefined) return env;
  return { ...env, API_URL: '', API_INTERNAL_URL: undefined };
}
