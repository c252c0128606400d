import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  freePort,
  type ManagedProcess,
  manage,
  received,
  startNode,
  TEST_SECRETS,
  tokenFor,
  until,
} from '@groupcast/testing';
import { io, type Socket } from 'socket.io-client';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';

const RELAY = 'services/socket-relay/dist/main.js';
const API = 'services/api/dist/main.js';

const PORTS = ['API_PORT', 'API_INTERNAL_PORT', 'RELAY_PORT', 'RELAY_INTERNAL_PORT'];

let dataDir: string;
let env: Record<string, string>;
let processes: ManagedProcess[];
beforeEach(async () => {
  dataDir = mkdtempSync(join(tmpdir(), 'groupcast-signals-'));
  processes = [];
  const ports = Object.fromEntries(
    await Promise.all(PORTS.map(async (name) => [name, String(await freePort())] as const)),
  );
  env = { ...TEST_SECRETS, DATA_DIR: dataDir, API_URL: '', ...ports };
});
afterEach(async () => {
  for (const process of processes) await process.stop();
  for (const pid of ours()) process.kill(pid, 'SIGKILL');
  rmSync(dataDir, { recursive: true, force: true });
});

/** Every process that was started with this test's folder, whichever its parent is now. */
function ours(): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => {
      try {
        return readFileSync(`/proc/${pid}/environ`, 'utf8').includes(`DATA_DIR=${dataDir}\0`);
      } catch {
        return false;
      }
    });
}

function run(file: string, overrides: Record<string, string> = {}): ManagedProcess {
  const service = startNode([file], { ...env, ...overrides });
  processes.push(service);
  return service;
}

/** Runs `command` on a terminal of its own. Stopping the returned process closes the terminal, as closing its window does. */
function onTerminal(command: string, overrides: Record<string, string> = {}): ManagedProcess {
  const variables = { PATH: process.env['PATH'] ?? '', SHELL: '/bin/sh', ...env, ...overrides };
  const terminal = manage('script', ['--quiet', '--flush', '--command', command, '/dev/null'], { env: variables });
  processes.push(terminal);
  return terminal;
}

async function isFree(port: string | undefined): Promise<boolean> {
  return fetch(`http://127.0.0.1:${port}/livez`).then(
    () => false,
    () => true,
  );
}

describe('a terminal that is closed', () => {
  test('ends what `npm start` has started, and releases its ports', async () => {
    const api = { API_URL: `http://127.0.0.1:${env['API_PORT']}` };
    const terminal = onTerminal('node scripts/start.mjs', api);
    await terminal.wrote('Groupcast is ready');
    expect(ours().length).toBeGreaterThanOrEqual(4);
    await terminal.stop();
    await until('every process to end', () => ours().length === 0);
    for (const port of PORTS) expect(await isFree(env[port])).toBe(true);
  });

  test('ends a relay and its workers (G39)', async () => {
    const terminal = onTerminal(`node ${RELAY}`, { RELAY_WORKERS: '2' });
    await terminal.wrote('listening');
    expect(ours().length).toBeGreaterThanOrEqual(4);
    await terminal.stop();
    await until('every process to end', () => ours().length === 0);
    expect(await isFree(env['RELAY_PORT'])).toBe(true);
  });

  test.each([
    ['relay', RELAY, 'RELAY_INTERNAL_PORT'],
    ['API', API, 'API_PORT'],
  ])('does not end the %s in a session of its own, and leaves it its exit code (G39)', async (_name, file, port) => {
    const code = join(dataDir, 'code');
    const pid = join(dataDir, 'pid');
    // The terminal waits, so that it is closed by this test.
    const service = `setsid sh -c 'node ${file} & echo $! > ${pid}; wait $!; echo $? > ${code}' & sleep 1000`;
    const terminal = onTerminal(service);
    await terminal.wrote('listening');
    await terminal.stop();
    const answered = await fetch(`http://127.0.0.1:${env[port]}/livez`);
    expect(answered.status).toBe(200);
    process.kill(Number(readFileSync(pid, 'utf8')), 'SIGTERM');
    await until('the exit code', () => existsSync(code) && readFileSync(code, 'utf8').endsWith('\n'));
    expect(readFileSync(code, 'utf8')).toBe('0\n');
  });
});

describe('a signal', () => {
  test.each([
    ['SIGSEGV', 'relay', RELAY],
    ['SIGABRT', 'relay', RELAY],
    ['SIGBUS', 'relay', RELAY],
    ['SIGFPE', 'relay', RELAY],
    ['SIGILL', 'relay', RELAY],
    ['SIGTRAP', 'relay', RELAY],
    ['SIGSEGV', 'API', API],
    ['SIGBUS', 'API', API],
  ] as const)('of a fault, %s, ends the %s at once (G39)', async (signal, _name, file) => {
    const service = run(file);
    await service.wrote('"msg":"listening"');
    service.signal(signal);
    expect(await service.exited()).toBe(signal);
    expect(service.output()).not.toContain('"msg":"stopping"');
  });

  /** A relay that has been told to stop and cannot be done with it at once: a member has to be moved away first. */
  async function stopping(
    signal: NodeJS.Signals,
    drainSeconds: number,
  ): Promise<{ relay: ManagedProcess; member: Socket }> {
    const relay = run(RELAY, { SHUTDOWN_DRAIN_SECONDS: String(drainSeconds) });
    await relay.wrote('"msg":"listening"');
    const auth = { token: await tokenFor('alice', []) };
    const member = io(`http://127.0.0.1:${env['RELAY_PORT']}`, { transports: ['websocket'], auth });
    await received(member, 'joined-groups');
    relay.signal(signal);
    await relay.wrote('"msg":"stopping"');
    return { relay, member };
  }

  test('that says the terminal is gone stops in order, also when it comes twice', async () => {
    const { relay, member } = await stopping('SIGHUP', 1);
    relay.signal('SIGHUP');
    expect(await relay.exited()).toBe(0);
    expect(relay.output()).toContain('"msg":"stopped"');
    member.close();
  });

  test('that comes a second time while the first is being followed ends the process at once', async () => {
    const { relay, member } = await stopping('SIGTERM', 600);
    relay.signal('SIGTERM');
    expect(await relay.exited()).toBe(1);
    member.close();
  });
});
