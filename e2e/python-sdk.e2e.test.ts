import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createBroadcaster } from '@groupcast/broadcaster';
import type { GroupEvent } from '@groupcast/shared';
import {
  freePort,
  type ManagedProcess,
  manage,
  type RedisServer,
  received,
  startRedis,
  startRelayProcess,
  TEST_SECRETS,
  tokenFor,
  until,
} from '@groupcast/testing';
import { io } from 'socket.io-client';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';

/** Debian's, which has python3-socketio. */
const PYTHON = '/usr/bin/python3';
const FOLDER = fileURLToPath(new URL('../sdks/python', import.meta.url));
const TRANSPORTS = ['raw', 'socketio'] as const;

const folder = mkdtempSync(join(tmpdir(), 'groupcast-python-'));
let redis: RedisServer;
let relay: Awaited<ReturnType<typeof startRelayProcess>>;
let env: Record<string, string>;
beforeAll(async () => {
  redis = await startRedis();
  env = {
    RELAY_PORT: String(await freePort()),
    RELAY_INTERNAL_PORT: String(await freePort()),
    REDIS_URL: redis.url,
    RELAY_WS_PATH: '/ws',
    PUBLIC_BROADCAST_API: '1',
    NODE_LEASE_SECONDS: '3',
  };
  relay = await startRelayProcess(env);
});
afterAll(async () => {
  await relay?.stop();
  await redis?.stop();
  rmSync(folder, { recursive: true, force: true });
});

function runPython(args: readonly string[], more: Record<string, string> = {}): ManagedProcess {
  const program = manage(PYTHON, args, {
    cwd: FOLDER,
    env: { ...TEST_SECRETS, PYTHONDONTWRITEBYTECODE: '1', PYTHONPATH: FOLDER, RELAY_URL: relay.url, ...more },
  });
  onTestFinished(() => program.stop());
  return program;
}

const programAt = (name: string): string => join('tests/programs', name);
const linesOf = (program: ManagedProcess): Record<string, unknown>[] =>
  program
    .output()
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line) as Record<string, unknown>);
const heardBy = (program: ManagedProcess): unknown[] => linesOf(program).flatMap(({ n }) => n ?? []);
const numbers = (to: number): string[] => Array.from({ length: to }, (_, index) => String(index + 1));

/** A listener in Python for each transport; resolves when they are in the group. They end once they have heard the message `last`. */
async function startListeners(groupId: string, last: string): Promise<ManagedProcess[]> {
  return Promise.all(
    TRANSPORTS.map(async (transport) => {
      const program = runPython([programAt('listen.py'), transport, `${transport}-user`, groupId, last]);
      await program.wrote('"present"');
      return program;
    }),
  );
}

test('its own tests pass', async () => {
  const tests = runPython(['-m', 'unittest', 'discover', '--start-directory', 'tests', '--top-level-directory', '.']);
  const code = await tests.exited();
  expect([code, tests.output()]).toEqual([0, expect.stringMatching(/Ran [4-9]\d tests/)]);
});

test('messages of Python reach JavaScript, and those of JavaScript reach Python by both transports, with who has got them', async () => {
  const broadcaster = createBroadcaster({ url: relay.url, serviceSecret: TEST_SECRETS.RELAY_SERVICE_SECRET });
  onTestFinished(() => broadcaster.close());
  const member = io(relay.url, { transports: ['websocket'], auth: { token: await tokenFor('alice', ['both']) } });
  onTestFinished(() => void member.close());
  const heard: GroupEvent[] = [];
  member.on('new-message', (event: GroupEvent) => heard.push(event));
  await received(member, 'joined-groups');
  const listeners = await startListeners('both', 'end');
  const publisher = runPython([programAt('publish.py'), 'both', '2', 'alice', 'raw-user', 'nobody']);
  expect(await publisher.exited()).toBe(0);
  expect(linesOf(publisher)).toEqual(
    [1, 2].map((seq) => ({
      id: `both-${seq}`,
      groupId: 'both',
      position: { epoch: expect.any(String), seq },
      duplicate: false,
      recipients: { connections: 3, nodes: 1 },
      warnings: [],
      delivery: { proven: ['alice', 'raw-user'], pending: [], absent: [{ userId: 'nobody', why: 'offline' }] },
    })),
  );
  for (const n of ['3', '4', 'end']) await broadcaster.broadcastMessage({ groupId: 'both', message: { n } });
  for (const listener of listeners) {
    expect(await listener.exited()).toBe(0);
    expect(heardBy(listener)).toEqual(['1', '2', '3', '4', 'end']);
  }
  await until('all of them', () => heard.length === 5);
  expect(heard.map(({ seq }) => seq)).toEqual([1, 2, 3, 4, 5]);
});

test('a relay that is killed and started again while Python publishes and listens loses nothing, and nothing comes twice', async () => {
  const count = 60;
  const listeners = await startListeners('killed', String(count));
  const gate = join(folder, 'gate');
  const publisher = runPython([programAt('publish.py'), 'killed', String(count)], { GATE: gate });
  await until('half of the messages', () => listeners.every((each) => heardBy(each).length === count / 2));
  relay.signal('SIGKILL');
  await relay.exited();
  // The other half is published while there is no relay.
  writeFileSync(gate, '');
  relay = await startRelayProcess(env);
  expect(await publisher.exited()).toBe(0);
  for (const listener of listeners) {
    expect(await listener.exited()).toBe(0);
    expect(heardBy(listener)).toEqual(numbers(count));
    expect(listener.output()).not.toContain('"gap"');
  }
  expect(linesOf(publisher).filter(({ position }) => position !== undefined)).toHaveLength(count);
});

test('a refused token ends the listener with the code, and a wrong secret the publisher', async () => {
  const listener = runPython([programAt('listen.py'), 'raw', 'not a user id', 'both', 'end']);
  expect(await listener.exited()).toBe(1);
  expect(linesOf(listener)).toEqual([{ error: 'TOKEN_INVALID' }]);
  const publisher = runPython([programAt('publish.py'), 'both', '1'], { RELAY_SERVICE_SECRET: 'x'.repeat(32) });
  expect(await publisher.exited()).toBe(1);
  expect(linesOf(publisher)).toEqual([{ refused: 'SERVICE_TOKEN_INVALID', retryable: false }]);
});

test('a relay that reads the user elsewhere than in sub, with an issuer and an audience, takes a token of Python that has them', async () => {
  const claims = { JWT_USER_CLAIM: 'user._id', JWT_ISSUER: 'https://id.example', JWT_AUDIENCE: 'chat' };
  const other = await startRelayProcess({ RELAY_WS_PATH: '/ws', PUBLIC_BROADCAST_API: '1', ...claims });
  onTestFinished(() => other.stop());
  const listen = (given: Record<string, string>) =>
    runPython([programAt('listen.py'), 'raw', 'mia', 'claims', 'end'], { RELAY_URL: other.url, ...given });
  for (const left of Object.keys(claims)) {
    const refused = listen({ ...claims, [left]: '' });
    expect(await refused.exited()).toBe(1);
    expect([left, linesOf(refused)]).toEqual([left, [{ error: 'TOKEN_INVALID' }]]);
  }
  const listener = listen(claims);
  await listener.wrote('"mia"');
  const broadcaster = createBroadcaster({ url: other.url, serviceSecret: TEST_SECRETS.RELAY_SERVICE_SECRET });
  onTestFinished(() => broadcaster.close());
  await broadcaster.broadcastMessage({ groupId: 'claims', message: { n: 'end' } });
  expect(await listener.exited()).toBe(0);
});
