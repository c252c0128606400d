import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { MonitorEvent } from '@groupcast/shared';
import {
  freePort,
  received,
  type System,
  startNode,
  startPathProxy,
  startRelayProcess,
  startSystem,
  TEST_SECRETS,
  tokenFor,
  until,
} from '@groupcast/testing';
import { createServiceTokenVerifier, createUserTokenVerifier } from '@groupcast/tokens';
import { io } from 'socket.io-client';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import type { TestReport } from '../src/broadcast-test/report.ts';
import { type CliProcess, runCli, startCli } from './run-cli.ts';

const WRONG_SECRET = 'a-secret-that-nobody-else-knows-0123456789';

let system: System;
beforeAll(async () => {
  system = await startSystem();
});
afterAll(async () => {
  await system.stop();
});

function startMonitor(args: readonly string[], env: Readonly<Record<string, string>>): CliProcess {
  const monitor = startCli(['monitor-socket', ...args], env);
  onTestFinished(() => monitor.stop());
  return monitor;
}

function jsonLines(text: string): (MonitorEvent | { kind: 'snapshot' })[] {
  return text
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line) as MonitorEvent);
}

async function broadcast(groupId: string): Promise<void> {
  const { stdout: token } = await runCli(['token', '--service', '--scope', 'broadcast'], system.env);
  const response = await fetch(`${system.relayInternalUrl}/v1/broadcast`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token.trim()}`, 'content-type': 'application/json' },
    body: JSON.stringify({ groupId, message: { content: 'hello' } }),
  });
  expect(response.status).toBe(200);
}

/** Until then the relay asks the API about the groups of a token: removals that it has not seen may be newer than the token. */
async function relayBelievesTokens(): Promise<void> {
  const least = ['--receivers', '1', '--messages', '1', '--timeout', '1s'];
  await until(
    'the relay to be older than a token',
    async () => {
      const { code } = await runCli(['test-broadcast', '--via', 'relay', ...least], system.env);
      return code === 0;
    },
    20_000,
  );
}

async function groupsOfFirstReceiver(): Promise<{ id: string }[]> {
  const token = await tokenFor('test-broadcast:receiver-0');
  const response = await fetch(`${system.apiUrl}/api/messaging/groups`, {
    headers: { authorization: `Bearer ${token}` },
  });
  return ((await response.json()) as { groups: { id: string }[] }).groups;
}

describe('groupcast', () => {
  it('shows its help, and that of every command', async () => {
    const overall = await runCli(['--help']);
    expect(overall).toMatchObject({ code: 0, stderr: '' });
    const commands = ['doctor', 'trace', 'monitor', 'test-broadcast', 'token', 'dialect', 'replay', 'check-config'];
    for (const name of [...commands, 'start', 'relay', 'api']) {
      expect(overall.stdout).toContain(name);
      const help = await runCli([name, '--help']);
      expect(help).toMatchObject({ code: 0, stderr: '' });
      expect(help.stdout).toMatch(new RegExp(`^Usage: groupcast ${name}[ \\n]`));
    }
    expect((await runCli(['monitor-socket', '--help'])).stdout).toMatch(/^Usage: groupcast monitor /);
  });

  it.each([
    [[], 'Usage: groupcast <command>'],
    [['monitr'], 'unknown command "monitr"; did you mean "monitor"?'],
    [
      ['frobnicate'],
      'unknown command "frobnicate"; there are start, relay, api, doctor, trace, monitor, test-broadcast',
    ],
    [['relay', '--port', '3'], 'relay takes no options, got "--port"; its settings are variables'],
    [['check-config', 'both'], 'check-config takes api, relay or start, got "both"'],
    [['token', '--usr', 'alice'], "unknown option '--usr'"],
    [['test-broadcast', '--rate', 'fast'], '--rate must be a whole number from 1 to 5000, got "fast"'],
  ])('exits 2 on wrong usage: %j', async (args, message) => {
    const result = await runCli(args);
    expect(result).toMatchObject({ code: 2, stdout: '' });
    expect(result.stderr).toContain(message);
  });

  it('exits 78 naming every wrong variable', async () => {
    const result = await runCli(['test-broadcast'], { NODE_ENV: 'production', RELAY_URL: 'localhost' });
    expect(result.code).toBe(78);
    for (const name of ['RELAY_URL', 'JWT_SECRET', 'RELAY_SERVICE_SECRET']) expect(result.stderr).toContain(name);
  });
});

describe('groupcast check-config', () => {
  const SECRETS = {
    short: 'hunter2',
    reused: 'the-same-for-both-0123456789-abcdefghij',
    webhook: 'whsec_that-is-no-base64-and-long-enough',
  };
  const WRONG = {
    NODE_ENV: 'production',
    JWT_SECRET: SECRETS.reused,
    RELAY_SERVICE_SECRET: SECRETS.reused,
    CONNECTION_TOKEN_SECRET: SECRETS.short,
    DATABASE_URL: `mysql://root:${SECRETS.short}@localhost/db`,
    REDIS_URL: `http://:${SECRETS.short}@localhost`,
    ABSENT_WEBHOOK_URL: 'https://example.com',
    ABSENT_WEBHOOK_SECRET: SECRETS.webhook,
    RELAY_PORT: '30OO',
    DEMO: '1',
  };

  it('names every problem of both services with its code, and no secret', async () => {
    const { code, stdout, stderr } = await runCli(['check-config', '--json'], WRONG);
    expect([code, stderr]).toEqual([1, '']);
    const { ok, problems } = JSON.parse(stdout) as {
      ok: boolean;
      problems: { code: string; variable: string; services: string[] }[];
    };
    expect(ok).toBe(false);
    const lines = problems.map(({ code: problem, variable, services }) => `${problem} ${variable} ${services.join()}`);
    expect(lines.toSorted()).toEqual([
      'SECRET_REUSED RELAY_SERVICE_SECRET api,relay',
      'SECRET_WEAK CONNECTION_TOKEN_SECRET api,relay',
      'VARIABLES_CONFLICT DEMO api',
      'VARIABLE_INVALID ABSENT_WEBHOOK_SECRET api',
      'VARIABLE_INVALID DATABASE_URL api',
      'VARIABLE_INVALID REDIS_URL relay',
      'VARIABLE_INVALID RELAY_PORT relay',
      'VARIABLE_MISSING API_URL relay',
      'VARIABLE_MISSING RELAY_PUBLIC_URL api',
      'VARIABLE_MISSING RELAY_URL api',
    ]);
    for (const secret of Object.values(SECRETS)) expect(stdout).not.toContain(secret);
  });

  it('says all of it to people too, of one service alone, and exits 0 with the same warnings as a start', async () => {
    const wrong = await runCli(['check-config', 'relay'], WRONG);
    expect(wrong.code).toBe(1);
    expect(wrong.stdout).toContain(
      '✗ VARIABLE_INVALID  RELAY_PORT must be an integer from 0 to 65535, got "30OO" (relay)',
    );
    expect(wrong.stdout).toMatch(/\n5 problems in the configuration of relay\n$/);
    const { DATABASE_URL: _, ...env } = system.env;
    const right = await runCli(['check-config', 'api'], { ...env, DEMO: '1', API_HOST: '0.0.0.0' });
    expect(right.code).toBe(0);
    expect(right.stdout).toContain('! DEMO is 1 and API_HOST is 0.0.0.0: anybody who reaches this port logs in');
    expect(right.stdout).toMatch(/\n✓ the configuration of api is valid, 1 warning\n$/);
  });
});

describe('groupcast doctor', () => {
  interface Walk {
    ok: boolean;
    hops: { hop: string; ok: boolean; ms: number; detail: string }[];
    skipped: { hop: string; why: string }[];
    fault?: { hop: string; code: string; cause: string; fix: string };
  }
  const HOPS_OF_ALL = [
    'configuration',
    'api',
    'database',
    'secrets',
    'clock',
    'relay',
    'canary-websocket',
    'canary-polling',
  ];

  async function walk(
    args: readonly string[],
    env: Readonly<Record<string, string>>,
  ): Promise<Walk & { code: unknown }> {
    const { code, stdout, stderr } = await runCli(['doctor', '--json', ...args], env);
    expect(stderr).toBe('');
    expect(stdout).toMatch(/^[^\n]+\n$/);
    return { code, ...(JSON.parse(stdout) as Walk) };
  }
  const detailOf = ({ hops }: Walk, name: string): string => hops.find(({ hop }) => hop === name)?.detail ?? '';

  it('says that all is well inside, as one object on stdout, and exits 0', async () => {
    const report = await walk([], system.env);
    expect(report).toMatchObject({ code: 0, ok: true });
    expect(report).not.toHaveProperty('fault');
    expect(report.hops.map(({ hop }) => hop)).toEqual(expect.arrayContaining(HOPS_OF_ALL));
    expect(report.hops.filter(({ ok }) => !ok)).toEqual([]);
    expect(detailOf(report, 'secrets')).toBe(
      'the service token is accepted by relay and API; tokens of users by relay and API',
    );
    expect(detailOf(report, 'canary-polling')).toMatch(/^2 users got it after/);
  });

  it('walks from outside with URLs and the secret of services alone: its clients are monitors', async () => {
    const { RELAY_SERVICE_SECRET } = TEST_SECRETS;
    const elsewhere = mkdtempSync(join(tmpdir(), 'groupcast-outside-'));
    onTestFinished(() => rmSync(elsewhere, { recursive: true }));
    const urls = ['--api-url', system.apiUrl, '--relay-url', system.relayUrl];
    const report = await walk(urls, { RELAY_SERVICE_SECRET, DATA_DIR: elsewhere });
    expect(report).toMatchObject({ code: 0, ok: true });
    expect(report.hops.map(({ hop }) => hop)).toEqual(expect.arrayContaining(HOPS_OF_ALL));
    expect(detailOf(report, 'secrets')).toContain('no token of a user can be made here');
    for (const hop of ['canary-websocket', 'canary-polling']) expect(detailOf(report, hop)).toMatch(/^2 monitors/);
  });

  it('walks from outside with URLs and tokens, and no secret at all', async () => {
    const token = async (...args: string[]): Promise<string> =>
      (await runCli(['token', '--service', ...args], system.env)).stdout.trim();
    const [relay, api] = await Promise.all([
      token('--scope', 'broadcast,monitor'),
      token('--scope', 'relay', '--audience', 'api'),
    ]);
    const urls = ['--api-url', system.apiUrl, '--relay-url', system.relayUrl];
    const report = await walk([...urls, '--service-token', relay, '--service-token', api], {});
    expect(report).toMatchObject({ code: 0, ok: true });
    expect(detailOf(report, 'secrets')).toContain('the service token is accepted by relay and API');
    expect(detailOf(report, 'database')).toBe('embedded, writable, migrations up to date');
  });

  it('prints a line a hop, then one fault and one fix, and exits with the number of the hop', async () => {
    const env = { ...system.env, RELAY_SERVICE_SECRET: WRONG_SECRET };
    const { code, stdout } = await runCli(['doctor'], env);
    expect(code).toBe(13);
    expect(stdout).toMatch(/^✓ configuration .*\n✓ api /);
    expect(stdout).toContain('✗ secrets');
    expect(stdout).toMatch(
      /\n\nfault at secrets: SECRET_MISMATCH\n {2}cause: RELAY_SERVICE_SECRET here differs .*\n {2}fix: .*\n$/,
    );
    expect(stdout).not.toContain(WRONG_SECRET);
    expect(await walk([], { ...system.env, RELAY_PORT: 'x' })).toMatchObject({
      code: 78,
      ok: false,
      fault: { hop: 'configuration', cause: expect.stringContaining('RELAY_PORT') },
    });
  });

  it('ends with the trace of one message, by the API or, beside a back end of your own, by the relay', async () => {
    expect(await walk(['--message', 'no-such-message'], system.env)).toMatchObject({
      code: 26,
      fault: { hop: 'message', code: 'MESSAGE_NOT_FOUND' },
    });
    const own = { ...system.env, API_URL: '' };
    expect(await walk(['--message', 'm1', '--user', 'alice', '--group', 'g'], own)).toMatchObject({
      code: 26,
      fault: { hop: 'message' },
      hops: expect.arrayContaining([
        expect.objectContaining({ hop: 'group-id', ok: true, detail: 'nobody is in group "g" now; see message' }),
        expect.objectContaining({ hop: 'message', detail: expect.stringMatching(/^it stopped at relay-accepted: /) }),
      ]),
    });
    expect(await walk(['--group', 'g'], own)).toMatchObject({ code: 25, fault: { code: 'NOBODY_IN_GROUP' } });
    expect(await walk(['--message', 'm1'], own)).toMatchObject({
      code: 26,
      fault: { code: 'TRACE_FAILED', cause: 'without our API --message needs --group as well' },
    });
    expect((await runCli(['doctor', '--user', 'alice'], own)).code).toBe(2);
  });

  it('ends by itself once its verdict is out, with the connections to a frozen relay', async () => {
    const frozen = await startRelayProcess();
    onTestFinished(() => frozen.stop());
    frozen.signal('SIGSTOP');
    onTestFinished(() => frozen.signal('SIGCONT'));
    const report = await walk(['--timeout', '500ms', '--relay', frozen.url], system.env);
    expect(report).toMatchObject({ code: 22, fault: { hop: 'nodes', code: 'NODE_SILENT' } });
    const alone = await walk(['--timeout', '500ms', '--relay-url', frozen.url], system.env);
    expect(alone).toMatchObject({ code: 15, fault: { hop: 'relay', code: 'RELAY_SILENT' } });
    expect(alone.skipped).toContainEqual({ hop: 'canary-websocket', why: 'not looked at: see relay' });
  });

  it('walks again and again with --watch, until it is stopped', async () => {
    const cli = startCli(['doctor', '--json', '--watch', '1s'], system.env);
    onTestFinished(() => cli.stop());
    await until('two walks', () => cli.stdout().split('\n').length > 2);
    cli.signal('SIGTERM');
    expect([0, 130]).toContain(await cli.exited());
  });
});

describe('groupcast token', () => {
  it('prints a user token that the services accept, and nothing else', async () => {
    const args = ['token', '--user', 'alice', '--groups', '1,room~b', '--name', 'Alice', '--ttl', '10m'];
    const { code, stdout, stderr } = await runCli(args, system.env);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toMatch(/^\S+\n$/);
    const claims = await createUserTokenVerifier({ secret: TEST_SECRETS.JWT_SECRET }).verify(stdout.trim());
    expect(claims).toMatchObject({ userId: 'alice', groups: ['1', 'room~b'], profile: { name: 'Alice' } });
    expect(claims.expiresAt - claims.issuedAt).toBe(600);
    const headers = { authorization: `Bearer ${stdout.trim()}` };
    expect((await fetch(`${system.apiUrl}/api/messaging/groups`, { headers })).status).toBe(200);
  });

  it('prints a service token with its scopes', async () => {
    const args = ['token', '--service', '--scope', 'broadcast,monitor', '--audience', 'api', '--json'];
    const { code, stdout } = await runCli(args, system.env);
    expect(code).toBe(0);
    const { token, ...rest } = JSON.parse(stdout) as { token: string; expiresAt: number };
    expect(rest).toMatchObject({ type: 'service', scopes: ['broadcast', 'monitor'], audience: 'groupcast-api' });
    const verifier = createServiceTokenVerifier({
      secret: TEST_SECRETS.RELAY_SERVICE_SECRET,
      audience: 'groupcast-api',
    });
    const claims = await verifier.verify(token, 'monitor');
    expect(claims.expiresAt).toBe(rest.expiresAt);
  });

  it('agrees with the services on the secret generated in DATA_DIR', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'groupcast-cli-'));
    onTestFinished(() => rmSync(folder, { recursive: true }));
    const { stdout } = await runCli(['token', '--user', 'bob'], { DATA_DIR: folder });
    const { jwtSecret } = JSON.parse(readFileSync(join(folder, 'secrets.json'), 'utf8')) as { jwtSecret: string };
    const claims = await createUserTokenVerifier({ secret: jwtSecret }).verify(stdout.trim());
    expect(claims.userId).toBe('bob');
  });
});

describe('groupcast test-broadcast', () => {
  it.each([
    ['api', 'websocket'],
    ['relay', 'websocket'],
    ['relay', 'polling'],
  ])('finds nothing wrong via %s with %s', async (via, transport) => {
    const sizes = ['--receivers', '5', '--messages', '40', '--rate', '100'];
    if (via === 'relay') await relayBelievesTokens();
    const args = ['test-broadcast', '--json', '--via', via, '--transport', transport, ...sizes];
    const { code, stdout, stderr } = await runCli(args, system.env);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    const report = JSON.parse(stdout) as TestReport;
    expect(report).toMatchObject({
      ok: true,
      acknowledged: 40,
      deliveries: 200,
      expectedDeliveries: 200,
      lost: 0,
      duplicated: 0,
      outOfOrder: 0,
      unpositioned: 0,
      failedSends: 0,
      firstError: null,
      disconnects: 0,
    });
    const { p50, p95, p99, max } = report.latencyMs ?? { p50: 0, p95: 0, p99: 0, max: 0 };
    expect([p50, p95, p99, max]).toEqual([p50, p95, p99, max].toSorted((a, b) => a - b));
    expect(p50).toBeGreaterThan(0);
    expect(await groupsOfFirstReceiver()).toEqual([]);
  });

  it('finds services by their ports, and behind paths of a larger site', async () => {
    const { API_URL: _, RELAY_URL: __, ...ports } = system.env;
    const sizes = ['--receivers', '2', '--messages', '2'];
    for (const via of ['api', 'relay']) {
      const found = await runCli(['test-broadcast', '--via', via, ...sizes], ports);
      expect({ code: found.code, stderr: found.stderr }).toEqual({ code: 0, stderr: '' });
    }
    const [api, relay] = [new URL(system.apiUrl), new URL(system.relayUrl)];
    const chat = await startPathProxy(Number(api.port), '/chat');
    const rt = await startPathProxy(Number(relay.port), '/rt');
    onTestFinished(async () => void (await Promise.all([chat.close(), rt.close()])));
    const urls = ['--api-url', `${chat.url}/`, '--relay-url', `${rt.url}/`];
    const behind = await runCli(['test-broadcast', ...urls, ...sizes], system.env);
    expect({ code: behind.code, stderr: behind.stderr }).toEqual({ code: 0, stderr: '' });
    const env = { ...system.env, RELAY_URL: rt.url };
    const polling = await runCli(['test-broadcast', '--via', 'relay', '--transport', 'polling', ...sizes], env);
    expect({ code: polling.code, stderr: polling.stderr }).toEqual({ code: 0, stderr: '' });
    const monitor = startMonitor([], env);
    await monitor.wrote('snapshot');
    expect(monitor.stderr()).toContain(`connected to ${rt.url}\n`);
  });

  it('names --via relay where what answers is not the API', async () => {
    // A relay, for one.
    const result = await runCli(['test-broadcast', '--api-url', system.relayUrl], system.env);
    expect(result.code).toBe(1);
    expect(result.stderr).toContain(`the API at ${system.relayUrl} answered NOT_FOUND`);
    expect(result.stderr).toContain('A relay alone is tested with --via relay');
  });

  it.each([
    ['test-socket-broadcast', 'test-broadcast'],
    ['test-broadcast', 'test-broadcast'],
    ['monitor-socket', 'monitor'],
    ['check-config', 'check-config'],
    ['trace', 'trace'],
  ])('is what scripts/%s.js runs, or its neighbour: %s', async (name, command) => {
    const script = startNode([fileURLToPath(new URL(`../../../scripts/${name}.js`, import.meta.url)), '--help'], {});
    expect(await script.exited()).toBe(0);
    expect(script.output()).toMatch(new RegExp(`^Usage: groupcast ${command} `));
  });

  it('prints a report for people without --json', async () => {
    const { code, stdout } = await runCli(['test-broadcast', '--messages', '1', '--receivers', '1'], system.env);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^1 message via api to 1 receiver \(websocket\)\n.*p50 [\d.]+ ms/);
    expect(stdout).toContain('lost 0, duplicated 0, out of order 0, failed sends 0');
  });

  it('deletes its group when it is interrupted, and exits 130', async () => {
    const cli = startCli(['test-broadcast', '--messages', '100000', '--rate', '10'], system.env);
    onTestFinished(() => cli.stop());
    await until('the test group', async () => (await groupsOfFirstReceiver()).length > 0);
    cli.signal('SIGINT');
    expect(await cli.exited()).toBe(130);
    expect(await groupsOfFirstReceiver()).toEqual([]);
  });

  it('exits 1 when sends fail, and says why the first one did', async () => {
    const relay = await startRelayProcess();
    onTestFinished(() => relay.stop());
    const env = { ...system.env, RELAY_URL: relay.url };
    const args = ['--via', 'relay', '--group', 'g1', '--messages', '200', '--rate', '100', '--timeout', '1s', '--json'];
    const cli = startCli(['test-broadcast', ...args], env);
    onTestFinished(() => cli.stop());
    await until('a message', () => relay.output().includes('g1'));
    await relay.stop();
    expect(await cli.exited()).toBe(1);
    const report = JSON.parse(cli.stdout()) as TestReport;
    expect(report).toMatchObject({ ok: false, firstError: { code: 'RELAY_UNAVAILABLE' } });
    expect(report.failedSends).toBeGreaterThan(0);
  });

  it('names the API or relay that it cannot reach, and the fix', async () => {
    const url = `http://127.0.0.1:${await freePort()}`;
    const api = await runCli(['test-broadcast', '--api-url', url], system.env);
    expect(api.code).toBe(1);
    expect(api.stderr).toBe(
      `groupcast: unable to reach the API at ${url} (ECONNREFUSED); start it with npx groupcast start, or check API_URL, API_PORT or --api-url. A relay alone is tested with --via relay\n`,
    );
    for (const via of ['api', 'relay']) {
      for (const transport of ['websocket', 'polling']) {
        const args = ['test-broadcast', '--via', via, '--relay-url', url, '--transport', transport];
        const relay = await runCli(args, system.env);
        expect(relay.code).toBe(1);
        expect(relay.stderr).toContain(
          `unable to reach the relay at ${url} (ECONNREFUSED); start it with npx groupcast relay`,
        );
      }
    }
    expect(await groupsOfFirstReceiver()).toEqual([]);
  });

  it.each([
    ['JWT_SECRET', 'api', 'TOKEN_INVALID'],
    ['JWT_SECRET', 'relay', 'TOKEN_INVALID'],
    ['RELAY_SERVICE_SECRET', 'relay', 'SERVICE_TOKEN_INVALID'],
  ])('with a wrong %s via %s names %s and the variable', async (variable, via, code) => {
    const result = await runCli(['test-broadcast', '--via', via], { ...system.env, [variable]: WRONG_SECRET });
    expect(result.code).toBe(1);
    expect(result.stderr).toContain(`${code}: `);
    expect(result.stderr).toContain(`${variable} of this environment`);
    expect(result.stderr).not.toContain(WRONG_SECRET);
  });
});

describe('groupcast trace', () => {
  it('says where a message is, by the API and by the relay, and ends with a code of its own', async () => {
    const headers = { authorization: `Bearer ${await tokenFor('tracer')}`, 'content-type': 'application/json' };
    const post = async (path: string, body: object): Promise<unknown> => {
      const url = `${system.apiUrl}/api/messaging/groups${path}`;
      return (await fetch(url, { method: 'POST', headers, body: JSON.stringify(body) })).json();
    };
    await post('', { id: 'traced', memberIds: ['nobody-there'] });
    const { message } = (await post('/traced/messages', { content: 'a word' })) as { message: { id: string } };
    const traced = await until('it to be relayed', async () => {
      const found = await runCli(['trace', message.id], system.env);
      return found.stdout.includes('✗  written') ? found : undefined;
    });
    expect({ code: traced.code, stderr: traced.stderr }).toEqual({ code: 4, stderr: '' });
    expect(traced.stdout).toMatch(/✓ {2}relay-accepted .*\n[^]*✗ {2}written .*\n[^]* {2}nobody-there {2}offline {2}/);
    const relay = ['--relay', system.relayInternalUrl, '--group', 'traced', '--id', message.id];
    const byRelay = await runCli(['trace', ...relay, '--user', 'nobody-there', '--json'], system.env);
    expect(byRelay.code).toBe(4);
    // Its code may be that of connections that were refused before, by other tests: nobody knows whose they were.
    expect(JSON.parse(byRelay.stdout)).toMatchObject({
      verdict: { state: 'stopped', hop: 'written' },
      summary: { offline: 1 },
    });
    const refused = await runCli(['trace', message.id], { ...system.env, RELAY_SERVICE_SECRET: WRONG_SECRET });
    expect(refused.code).toBe(1);
    expect(refused.stderr).toContain('SERVICE_TOKEN_INVALID');
    expect(refused.stderr).toContain('give it the RELAY_SERVICE_SECRET of the API');
  });
});

describe('groupcast monitor-socket', () => {
  it('shows a broadcast that nobody received as a warning, and ends with Ctrl-C', async () => {
    const monitor = startMonitor([], system.env);
    await monitor.wrote('snapshot');
    await broadcast('nobody-is-here');
    await monitor.wrote('! nobody is in this group');
    expect(monitor.stderr()).toBe(`connecting to ${system.relayUrl}\nconnected to ${system.relayUrl}\n`);
    expect(monitor.stdout()).toMatch(/broadcast +group=nobody-is-here event=new-message .* connections=0 !/);
    monitor.signal('SIGINT');
    expect(await monitor.exited()).toBe(0);
  });

  it('shows warnings of before, and with --only-warnings and --kind nothing else', async () => {
    await broadcast('nobody-yet');
    const [some, none] = [['--only-warnings'], ['--kind', 'left,disconnected']].map((args) =>
      startMonitor(args, system.env),
    );
    await some?.wrote('snapshot');
    await none?.wrote('snapshot');
    expect(some?.stdout()).toMatch(
      /warnings +count=\d+ NO_RECIPIENTS=\d+[\s\S]* warning +NO_RECIPIENTS group=nobody-yet/,
    );
    const socket = io(system.relayUrl, { forceNew: true, auth: { token: await tokenFor('carol') } });
    await received(socket, 'joined-groups');
    socket.close();
    await broadcast('nobody-now');
    await some?.wrote('group=nobody-now');
    await none?.wrote('user=carol');
    expect(some?.stdout()).not.toMatch(/carol/);
    expect(none?.stdout()).toMatch(/ disconnected +user=carol/);
    expect(none?.stdout()).not.toMatch(/ connected | broadcast | warning /);
  });

  it.each([
    [['--kind', 'nothing'], '--kind must be connected or disconnected or'],
    [['--trace', 'm1'], '--trace needs --group'],
    [['--trace', 'a b', '--group', '1'], '--trace must be the id of a message'],
  ])('refuses %j', async (args, words) => {
    const { code, stderr } = await runCli(['monitor-socket', ...args], system.env);
    expect(code).toBe(2);
    expect(stderr).toContain(words);
  });

  it('asks with --trace how far a message is, and its exit code says so', async () => {
    const relay = await startRelayProcess();
    onTestFinished(() => relay.stop());
    const env = { ...system.env, RELAY_URL: relay.url };
    const auth = { token: await tokenFor('alice', ['traced']) };
    const socket = io(relay.url, { forceNew: true, transports: ['websocket'], auth });
    onTestFinished(() => void socket.close());
    await received(socket, 'joined-groups');
    const token = (await runCli(['token', '--service', '--scope', 'broadcast'], env)).stdout.trim();
    const publish = async (groupId: string): Promise<Response> =>
      fetch(`${relay.internalUrl}/v1/broadcast`, {
        method: 'POST',
        headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
        body: JSON.stringify({ groupId, id: 'm1', message: {}, expectedUserIds: ['alice'], waitFor: 'proven' }),
      });
    for (const groupId of ['traced', 'empty']) expect((await publish(groupId)).status).toBe(200);
    const [here, nowhere] = await Promise.all(
      ['traced', 'empty'].map(async (group) => runCli(['monitor-socket', '--trace', 'm1', '--group', group], env)),
    );
    expect(here).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/✓ {2}relay-accepted[\s\S]*\ndelivered DELIVERED/),
    });
    expect(nowhere).toMatchObject({ code: 4, stdout: expect.stringMatching(/\nstopped at .*\ncause {2}.*\nfix {4}/) });
    const args = ['monitor-socket', '--trace', 'm1', '--group', 'traced', '--user', 'bob', '--json'];
    const { stdout } = await runCli(args, env);
    expect(JSON.parse(stdout)).toMatchObject({ id: 'm1', recipients: [{ userId: 'bob', state: 'offline' }] });
  });

  it('says with --trace that nobody answers, and ends', async () => {
    const url = `http://127.0.0.1:${await freePort()}`;
    const { code, stderr } = await runCli(
      ['monitor-socket', '--trace', 'm1', '--group', '1', '--url', url],
      system.env,
    );
    expect(code).toBe(1);
    expect(stderr).toContain(`no relay answers at ${url}`);
  });

  it('says that a group has no prefix, where one is watched by the name of its room', async () => {
    const monitor = startMonitor(['--group', 'group-1'], system.env);
    await monitor.wrote('snapshot');
    expect(monitor.stderr()).toContain('a group is named by its id alone; is "1" meant, and not "group-1"?');
    expect(monitor.stdout()).not.toContain('is meant');
  });

  it('prints JSON lines of one group with --json --group', async () => {
    const monitor = startMonitor(['--json', '--group', 'watched'], system.env);
    await monitor.wrote('snapshot');
    await broadcast('other');
    const args = ['test-broadcast', '--via', 'relay', '--group', 'watched', '--receivers', '2', '--messages', '3'];
    expect((await runCli(args, system.env)).code).toBe(0);
    const kinds = (): string[] => jsonLines(monitor.stdout()).map(({ kind }) => kind);
    await until('both receivers to leave', () => kinds().filter((kind) => kind === 'disconnected').length === 2);
    expect(kinds().filter((kind) => kind === 'connected')).toHaveLength(2);
    const groups = jsonLines(monitor.stdout()).flatMap((line) => (line.kind === 'broadcast' ? [line.groupId] : []));
    expect(groups).toEqual(['watched', 'watched', 'watched']);
  });

  it('shows the connections of every worker of a relay', async () => {
    const relay = await startRelayProcess({ RELAY_WORKERS: '2' });
    onTestFinished(() => relay.stop());
    const workers = new Set<string | undefined>();
    const socketIds: string[] = [];
    while (workers.size < 2) {
      const auth = { token: await tokenFor('alice', ['1']) };
      const socket = io(relay.url, { forceNew: true, transports: ['websocket'], reconnection: false, auth });
      onTestFinished(() => void socket.close());
      await received(socket, 'joined-groups');
      workers.add((socket.io.engine as { id?: string }).id?.split('.')[0]);
      socketIds.push(socket.id ?? '');
    }
    const monitor = startMonitor(['--json', '--user', 'alice'], { ...system.env, RELAY_URL: relay.url });
    await until('everybody', () => socketIds.every((id) => monitor.stdout().includes(id)));
    const kinds = jsonLines(monitor.stdout()).map(({ kind }) => kind);
    expect(kinds.filter((kind) => kind === 'snapshot')).toHaveLength(2);
  });

  it('says that it is refused, why, and what to do, and goes on trying', async () => {
    const monitor = startMonitor([], { ...system.env, RELAY_SERVICE_SECRET: WRONG_SECRET });
    await monitor.wrote('Trying again');
    expect(monitor.stderr()).toContain('refused SERVICE_TOKEN_INVALID: ');
    expect(monitor.stderr()).toContain('this command signs with RELAY_SERVICE_SECRET of this environment');
    expect(monitor.stdout()).toBe('');
    monitor.signal('SIGINT');
    expect(await monitor.exited()).toBe(0);
  });

  it('keeps trying until a relay is there and accepts it, and again when that one is gone', async () => {
    const port = String(await freePort());
    const url = `http://127.0.0.1:${port}`;
    const monitor = startMonitor(['--url', url], system.env);
    await monitor.wrote(`no relay answers at ${url} (ECONNREFUSED)`);
    const first = await startRelayProcess({ RELAY_PORT: port, RELAY_SERVICE_SECRET: WRONG_SECRET });
    onTestFinished(() => first.stop());
    await monitor.wrote('refused SERVICE_TOKEN_INVALID');
    await first.stop();
    const second = await startRelayProcess({ RELAY_PORT: port });
    onTestFinished(() => second.stop());
    await monitor.wrote('connected to');
    await second.stop();
    await monitor.wrote('disconnected (');
  });
});
