import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort, startNode, until } from '@groupcast/testing';
import { expect, onTestFinished, test } from 'vitest';

const INSTALLING_MS = 300_000;

/** Starts an example by its one command, on ports and in a folder of its own, and returns its address. Ctrl-C ends it. */
async function startExample(name: string, ready: string): Promise<string> {
  const names = ['API_PORT', 'API_INTERNAL_PORT', 'RELAY_PORT', 'RELAY_INTERNAL_PORT', 'EXAMPLE_PORT'];
  const ports = Object.fromEntries(
    await Promise.all(names.map(async (each) => [each, String(await freePort())] as const)),
  );
  const dataDir = mkdtempSync(join(tmpdir(), 'groupcast-example-'));
  // npm finds its configuration and its cache by HOME.
  const env = { HOME: process.env['HOME'] ?? '', ...ports, DATA_DIR: dataDir, SHUTDOWN_DRAIN_SECONDS: '0' };
  const example = startNode(['examples/start.mjs', name], env);
  onTestFinished(async () => {
    example.signal('SIGINT');
    await example.exited();
    rmSync(dataDir, { recursive: true, force: true });
  });
  const url = `http://localhost:${ports['EXAMPLE_PORT']}`;
  await example.wrote(`${ready} is ready: open ${url}`, INSTALLING_MS);
  return url;
}

test(
  'one command installs and starts Next.js, API and relay, and makes people and chats',
  async () => {
    const url = await startExample('next', 'Next.js');
    const body = new URLSearchParams({ person: 'alice' });
    const signedIn = await until('Next.js to answer', async () =>
      fetch(`${url}/sign-in`, { method: 'POST', body, redirect: 'manual' }),
    );
    const cookie = signedIn.headers.get('set-cookie')?.split(';')[0] ?? '';
    const page = await (await fetch(url, { headers: { cookie } })).text();
    const apiUrl = /http:\/\/localhost:\d+/.exec(page)?.[0];
    const { token } = (await (await fetch(`${url}/api/groupcast-token`, { headers: { cookie } })).json()) as {
      token: string;
    };
    const headers = { authorization: `Bearer ${token}`, origin: url };
    const answer = await fetch(`${apiUrl}/api/messaging/groups`, { headers });
    expect(answer.headers.get('access-control-allow-origin')).toBe(url);
    const { groups } = (await answer.json()) as { groups: { name: string }[] };
    expect(groups.map(({ name }) => name).toSorted()).toEqual(['Book club', 'Corner shop']);
  },
  INSTALLING_MS,
);

test(
  'one command installs and starts NestJS and its relay',
  async () => {
    const url = await startExample('nest', 'NestJS');
    const signIn = async (userId: string) => {
      const headers = { 'content-type': 'application/json' };
      return fetch(`${url}/sign-in`, { method: 'POST', headers, body: JSON.stringify({ userId }) });
    };
    const { token } = (await (await signIn('alice')).json()) as { token: string };
    const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
    const messages = `${url}/groups/7/messages`;
    const sent = await fetch(messages, { method: 'POST', headers, body: JSON.stringify({ content: 'Hello' }) });
    expect([sent.status, await sent.json()]).toMatchObject([201, { message: { seq: 1, content: 'Hello' } }]);
    expect((await signIn('mallory')).status).toBe(400);
    expect((await fetch(messages)).status).toBe(401);
    expect((await fetch(`${url}/internal/groups`, { method: 'POST', headers, body: '{}' })).status).toBe(401);
  },
  INSTALLING_MS,
);
