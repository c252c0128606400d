import { createRequire } from 'node:module';
import { received, tokenFor, until } from '@groupcast/testing';
import { io as io48 } from 'socket.io-client';
import { io as io44 } from 'socket.io-client-4.4';
import { io as io47 } from 'socket.io-client-4.7';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type RelayUnderTest, startRelayUnderTest } from './relay-harness.ts';

/** The part of a client that this test uses, the same in every version. */
type StockClient = Parameters<typeof received>[0] & {
  readonly connected: boolean;
  readonly io: { readonly engine: { readonly transport: { readonly name: string } } };
  close(): unknown;
};
interface ClientOptions {
  auth: object;
  transports: string[];
  forceNew: boolean;
  upgrade: boolean;
}
type Connect = (url: string, options: ClientOptions) => StockClient;

const require = createRequire(import.meta.url);
// Its `exports` hide its own types from `import`.
const io2 = require('socket.io-client-2') as unknown as (url: string, options: object) => StockClient;
const { io: io40 } = require('socket.io-client-4.0') as { io: Connect };

const CLIENTS: [string, Connect][] = [
  ['4.0', io40],
  ['4.4', (url, options) => io44(url, options)],
  ['4.7', (url, options) => io47(url, options)],
  ['4.8', (url, options) => io48(url, options)],
];
const WAYS: [string, string[], string][] = [
  ['polling only', ['polling'], 'polling'],
  ['websocket only', ['websocket'], 'websocket'],
  ['polling, then an upgrade', ['polling', 'websocket'], 'websocket'],
];

/** `joined-groups`, or the reason for which the connection was refused. */
async function joined(socket: StockClient): Promise<unknown> {
  const refused = received<Error>(socket, 'connect_error').then(
    (error) => Promise.reject(error),
    () => 'not refused',
  );
  return Promise.race([received(socket, 'joined-groups'), refused]);
}

let relay: RelayUnderTest;
beforeAll(async () => {
  relay = await startRelayUnderTest();
});
afterAll(async () => {
  await relay.close();
});

describe.each(CLIENTS)('a stock socket.io-client %s', (version, connect) => {
  test.each(WAYS)('with %s connects, hears its groups and gets broadcasts (G15)', async (_, transports, ends) => {
    const groupId = `old-${version}-${transports.join('-')}`;
    const token = await tokenFor('alice', [groupId]);
    const socket = connect(relay.url, { auth: { token }, transports, forceNew: true, upgrade: transports.length > 1 });
    try {
      expect(socket.io.engine.transport.name).toBe(transports[0]);
      expect(await joined(socket)).toEqual({ groups: [{ groupId, position: null }] });
      expect(socket.connected).toBe(true);

      const [first] = await Promise.all([
        received<Record<string, unknown>>(socket, 'new-message'),
        relay.broadcaster.broadcastMessage({ groupId, id: `${groupId}-1`, message: { content: 'grüß dich 👋' } }),
      ]);
      expect(first).toMatchObject({ groupId, id: `${groupId}-1`, seq: 1, content: 'grüß dich 👋' });

      await until(`the transport ${ends}`, () => socket.io.engine.transport.name === ends);
      const [second, result] = await Promise.all([
        received<Record<string, unknown>>(socket, 'new-message'),
        relay.broadcaster.broadcastMessage({ groupId, id: `${groupId}-2`, message: { content: 'again' } }),
      ]);
      expect(second).toEqual({ groupId, id: `${groupId}-2`, epoch: first['epoch'], seq: 2, content: 'again' });
      expect(result.recipients).toEqual({ connections: 1, nodes: 1 });
      expect(socket.io.engine.transport.name).toBe(ends);
    } finally {
      socket.close();
    }
  });
});

describe('a client that cannot connect shows why:', () => {
  const WHY = /it speaks another protocol \(EIO=3\): use socket\.io-client 4/;

  test.each(WAYS)('socket.io-client 2.5 with %s', async (_, transports) => {
    const socket = io2(relay.url, { transports, forceNew: true, reconnection: false });
    try {
      expect(await received(socket, 'error')).toMatch(WHY);
      await until('its end', () => !socket.connected);
    } finally {
      socket.close();
    }
  });

  test('socket.io-client 2.5 in another namespace', async () => {
    const socket = io2(`${relay.url}/chat`, { forceNew: true, reconnection: false });
    try {
      expect(await received(socket, 'error')).toMatch(WHY);
    } finally {
      socket.close();
    }
  });

  test.each(CLIENTS)('socket.io-client %s in another namespace', async (_, connect) => {
    const options = { auth: {}, transports: ['polling', 'websocket'], forceNew: true, upgrade: true };
    const socket = connect(`${relay.url}/chat`, options);
    try {
      const { message } = await received<Error>(socket, 'connect_error');
      expect(message).toBe('unable to connect; there is no namespace "/chat", only "/"');
    } finally {
      socket.close();
    }
  });
});
