import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort, type ManagedProcess, startNode, until } from '@groupcast/testing';
import { expect, onTestFinished, test } from 'vitest';
import { readApiConfig } from '../services/api/src/config.ts';
import { readRelayConfig } from '../services/socket-relay/src/config.ts';

interface FrontEnd {
  env: Record<string, string>;
  query?: string;
  chats: { id: string }[];
}

const { FRONT_ENDS } = (await import(join(process.cwd(), 'examples/front-ends.mjs'))) as {
  FRONT_ENDS: Record<string, FrontEnd>;
};

/** Starts an example by its one command, on ports and in a folder of its own. Ctrl-C ends it. */
async function startExample(name: string): Promise<ManagedProcess & { ports: Record<string, string> }> {
  const names = ['API_PORT', 'API_INTERNAL_PORT', 'RELAY_PORT', 'RELAY_INTERNAL_PORT', 'EXAMPLE_PORT'];
  const ports = Object.fromEntries(
    await Promise.all(names.map(async (each) => [each, String(await freePort())] as const)),
  );
  const dataDir = mkdtempSync(join(tmpdir(), 'groupcast-example-'));
  const example = startNode(['examples/start.mjs', name], { ...ports, DATA_DIR: dataDir, SHUTDOWN_DRAIN_SECONDS: '0' });
  onTestFinished(async () => {
    example.signal('SIGINT');
    await example.exited();
    rmSync(dataDir, { recursive: true, force: true });
  });
  return Object.assign(example, { ports });
}

/** Signs in by a link of the page's server, and returns the cookie. */
async function signIn(address: string): Promise<string> {
  const answer = await fetch(address, { redirect: 'manual' });
  return answer.headers.get('set-cookie')?.split(';')[0] ?? '';
}

test('the variables of each example are a configuration of relay and API, and its page asks for a dialect that is allowed', () => {
  const secrets = { JWT_SECRET: 'a', RELAY_SERVICE_SECRET: 'b' };
  expect(Object.keys(FRONT_ENDS)).toHaveLength(6);
  for (const { env, query } of Object.values(FRONT_ENDS)) {
    readApiConfig({ ...secrets, ...env });
    const { dialects } = readRelayConfig({ ...secrets, ...env });
    const asked = new URLSearchParams(query).get('dialect');
    if (asked) expect([...dialects.allowed.keys()]).toContain(asked);
  }
});

test('an example names in its README every variable that it sets', () => {
  const missing = Object.entries(FRONT_ENDS).flatMap(([name, { env }]) => {
    const readme = readFileSync(`examples/front-ends/${name}/README.md`, 'utf8');
    return Object.keys(env).filter((variable) => !readme.includes(`\`${variable}\``));
  });
  expect(missing).toEqual([]);
});

test('one command starts a front end, its API and relay, and makes its people and chats', async () => {
  const example = await startExample('conversation-colon');
  const pages = `http://localhost:${example.ports['EXAMPLE_PORT']}`;
  await example.wrote(`conversation-colon is ready: open ${pages}`);
  const cookie = await signIn(`${pages}/login?user=alice&to=conversation-colon`);
  const path = `/api/v1/chats/${FRONT_ENDS['conversation-colon']?.chats[0]?.id}/messages`;
  const url = `http://localhost:${example.ports['API_PORT']}${path}`;
  const headers = { cookie, 'content-type': 'application/json', origin: pages };
  const sent = await fetch(url, { method: 'POST', headers, body: JSON.stringify({ content: 'Good morning' }) });
  expect(await sent.json()).toMatchObject({
    status: 'success',
    data: { content: 'Good morning', sender: { _id: 'alice', fullName: 'Alice', email: 'alice@example.com' } },
  });
  expect(sent.headers.get('access-control-allow-origin')).toBe(pages);
});

test('one command starts Express and its relay', async () => {
  const example = await startExample('express');
  const url = `http://localhost:${example.ports['API_PORT']}`;
  await example.wrote(`Express is ready: open ${url}`);
  const cookie = await signIn(`${url}/login?user=bob&to=/underscore-events/`);
  const answer = await fetch(`${url}/api/messaging/groups`, { headers: { cookie } });
  const { groups } = (await answer.json()) as { groups: { name: string }[] };
  expect(groups.map(({ name }) => name)).toEqual(['Book club', 'Corner shop']);
  expect((await fetch(`${url}/internal/groups`, { method: 'POST', headers: { cookie } })).status).toBe(401);
  const unknown = await fetch(`${url}/api/v1/chats/nobodys/messages`, { headers: { cookie } });
  expect([unknown.status, await unknown.json()]).toMatchObject([404, { error: expect.stringMatching(/conversation/) }]);
});

test('one command starts a relay and both Python programs, which hear each other', async () => {
  const example = await startExample('python');
  const events = () =>
    [...example.output().matchAll(/^\{"type": "new-message".*$/gm)].map(
      ([line]) => JSON.parse(line) as { seq: number },
    );
  await until('two events', () => events().length >= 2);
  expect(
    events()
      .slice(0, 2)
      .map(({ seq }, at) => seq - (events()[0]?.seq ?? 0) === at),
  ).toEqual([true, true]);
});
