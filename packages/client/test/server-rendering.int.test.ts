import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { type ClientOptions, createClient, type GroupcastClient } from '@groupcast/client';
import {
  GroupcastProvider,
  useConnection,
  useGroup,
  useGroups,
  useLastSeen,
  useMemberCount,
  useMembers,
  useMessages,
  usePresence,
  useReceipts,
  useTyping,
  useUnread,
  useUsers,
} from '@groupcast/client/react';
import { until } from '@groupcast/testing';
import { QueryClient, QueryClientProvider } from '@tanstack/react-query';
import { createElement, type ReactNode } from 'react';
import { renderToString } from 'react-dom/server';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { memoryLogger } from './manual-clock.ts';
import { startScriptedServer } from './scripted-server.ts';

const run = promisify(execFile);
const clients: GroupcastClient[] = [];

function clientOf(options: Partial<ClientOptions> = {}): GroupcastClient {
  const nobody = { apiUrl: 'http://127.0.0.1:9', getToken: () => 'a token', logger: memoryLogger() };
  const client = createClient({ ...nobody, ...options });
  clients.push(client);
  return client;
}
afterEach(() => {
  for (const client of clients.splice(0)) client.close();
});

describe('a client where there is no window', () => {
  test('connects nowhere unless it is told to, and says so (G53)', async () => {
    const fetch = vi.fn<typeof globalThis.fetch>(async () => Promise.reject(new Error('nobody is there')));
    const client = clientOf({ fetch });
    await new Promise((resolve) => setImmediate(resolve));
    expect(fetch).not.toHaveBeenCalled();
    expect(client.connection.getSnapshot()).toMatchObject({ state: 'idle', reason: { code: 'NO_WINDOW' } });
    client.connect();
    expect(client.connection.getSnapshot()).toEqual({ state: 'connecting', reason: null });
    await vi.waitFor(() => expect(fetch).toHaveBeenCalled());

    const told = clientOf({ fetch, autoConnect: true });
    await vi.waitFor(() => expect(told.connection.getSnapshot().state).not.toBe('idle'));
    expect(clientOf({ fetch, autoConnect: false }).connection.getSnapshot().reason).toBeNull();
  });

  test('keeps no process alive (G53)', async () => {
    const code = `
      import { createClient } from '@groupcast/client';
      export const client = createClient({ apiUrl: 'http://127.0.0.1:9', getToken: () => 'a token' });
      process.on('exit', () => console.log(client.connection.getSnapshot().state));`;
    const cwd = fileURLToPath(new URL('..', import.meta.url));
    const { stdout } = await run(process.execPath, ['--input-type=module', '--eval', code], { cwd, timeout: 15_000 });
    expect(stdout).toBe('idle\n');
  });
});

describe('the hooks on a server', () => {
  function Page(): ReactNode {
    const connection = useConnection();
    const groups = useGroups();
    const group = useGroup('g');
    const messages = useMessages('g');
    const members = useMembers('g');
    const users = useUsers(['other']);
    const seen = useLastSeen(['other']);
    const beside = [useTyping('g').typists, useReceipts('g'), usePresence('g')];
    const queries = [groups, messages, members, users, seen].map(({ status, data }) => ({ status, data }));
    const counts = [useUnread(), useUnread('g'), useMemberCount('g')];
    return JSON.stringify({ connection, group, counts, beside, queries });
  }
  const render = (client: GroupcastClient, queries: QueryClient): string =>
    renderToString(
      createElement(
        QueryClientProvider,
        { client: queries },
        createElement(GroupcastProvider, { client }, createElement(Page)),
      ),
    );

  test('show the same whatever the client knows, which is what they show while a browser takes over (G53)', async () => {
    const before = render(clientOf(), new QueryClient());
    expect(before).toContain('idle');
    expect(before).not.toContain('success');

    const server = await startScriptedServer();
    try {
      server.addGroup('g', 3);
      const client = clientOf({ apiUrl: server.url, autoConnect: true });
      await until('connected', () => client.connection.getSnapshot().state === 'connected');
      const stop = client.messages('g').subscribe(() => undefined);
      await until('the messages', () => client.messages('g').getSnapshot().status === 'ready');
      server.publish('g');
      await until('something unread', () => client.unread.getSnapshot() > 0);
      client.receipts('g').subscribe(() => undefined);
      client.presence('g').subscribe(() => undefined);
      server.emit('typing', { groupId: 'g', userId: 'other', isTyping: true });
      await until('the receipts', () => client.receipts('g').getSnapshot().status === 'ready');
      await until('the typist', () => client.typing('g').getSnapshot().length === 1);
      await until('the presence', () => client.presence('g').getSnapshot().status === 'ready');
      const queries = new QueryClient();
      expect(render(client, queries)).toBe(before);
      // The rendering leaves nothing behind that a browser would take for an answer.
      expect(
        queries
          .getQueryCache()
          .getAll()
          .filter(({ state }) => state.data !== undefined),
      ).toEqual([]);
      stop();
      for (const one of clients.splice(0)) one.close();
    } finally {
      await server.close();
    }
  });
});
