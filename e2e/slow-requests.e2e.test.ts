import {
  type HeldConnections,
  holdConnections,
  type System,
  startSystem,
  TEST_SECRETS,
  tokenFor,
  until,
} from '@groupcast/testing';
import { signServiceToken } from '@groupcast/tokens';
import { io, type Socket } from 'socket.io-client';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

let system: System;
let socket: Socket | undefined;
const held: HeldConnections[] = [];
beforeAll(async () => {
  // A poll with nothing to answer lasts longer than a request may take to arrive.
  system = await startSystem({ PING_INTERVAL_MS: '120000', SHUTDOWN_DRAIN_SECONDS: '0', PUBLIC_BROADCAST_API: '1' });
});
afterAll(async () => {
  for (const each of held) each.close();
  socket?.close();
  await system?.stop();
});

const portOf = (url: string): number => Number(new URL(url).port);
const post = (path: string, token?: string): string =>
  `POST ${path} HTTP/1.1\r\nhost: test\r\n${token ? `authorization: Bearer ${token}\r\n` : ''}content-type: application/json\r\ncontent-length: 100\r\n\r\n`;
/** With one, the relay waits for the body of a broadcast. */
const serviceToken = async (): Promise<string> =>
  signServiceToken({ secret: TEST_SECRETS.RELAY_SERVICE_SECRET, scopes: ['broadcast'], subject: 'slow' });

describe('a request that does not arrive', () => {
  test('ends after half a minute at every port, and no poll and no WebSocket does (G38)', {
    timeout: 90_000,
  }, async () => {
    const auth = { token: await tokenFor('alice') };
    socket = io(system.relayUrl, { transports: ['websocket'], reconnection: false, auth });
    const polling = `${system.relayUrl}/socket.io/?EIO=4&transport=polling`;
    const open = async (): Promise<string> => {
      const text = await (await fetch(polling)).text();
      return (JSON.parse(text.slice(1)) as { sid: string }).sid;
    };
    const sid = await open();
    const session = `/socket.io/?EIO=4&transport=polling&sid=${sid}`;
    const answered = await fetch(`${polling}&sid=${sid}`, { method: 'POST', body: `40${JSON.stringify(auth)}` });
    expect(answered.status).toBe(200);
    // The namespace and the groups come first; the next poll is the one that waits.
    await (await fetch(`${polling}&sid=${sid}`)).text();
    const hold = async (url: string, say: string): Promise<HeldConnections> => {
      const connection = await holdConnections(portOf(url), 1, say);
      held.push(connection);
      return connection;
    };
    const poll = await hold(system.relayUrl, `GET ${session} HTTP/1.1\r\nhost: test\r\n\r\n`);
    const bodies = await Promise.all([
      hold(system.apiUrl, post('/api/demo/login')),
      hold(system.relayInternalUrl, post('/v1/broadcast')),
      hold(system.apiInternalUrl, post('/internal/history')),
      hold(system.relayUrl, post('/')),
      hold(system.relayUrl, post('/v1/broadcast', await serviceToken())),
      hold(system.relayUrl, post(`/socket.io/?EIO=4&transport=polling&sid=${await open()}`)),
    ]);
    await until('all of them to end', () => bodies.every((each) => each.open() === 0), 60_000);
    expect(bodies[0]?.answers()).toContain('REQUEST_TIMEOUT');
    // A publisher's body was waited for.
    expect(bodies[4]?.answers()).toContain('REQUEST_TIMEOUT');
    expect(poll.open()).toBe(1);
    expect(socket.connected).toBe(true);
  });
});
