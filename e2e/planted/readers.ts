import { startNode, tokenFor, until } from '@groupcast/testing';
import type { Socket } from 'socket.io-client';
import { type MessageFault, ofPerson } from './scene.ts';
import { startBlackHole } from './wires.ts';

/** The TCP socket of a client's WebSocket. */
function wireOf(socket: Socket): { pause(): void } {
  return (socket.io.engine.transport as unknown as { ws: { _socket: { pause(): void } } }).ws._socket;
}

/** Somebody else's messages, so that there is more than a socket takes. */
const LARGE = 'x'.repeat(15_000);
/** Bytes that are enough for a session of HTTP long-polling, and for a WebSocket until its client is in the group. */
const BYTES_OF_A_HANDSHAKE = 900;

/** Where something was written, and is not read. */
export const READERS: readonly MessageFault[] = [
  {
    name: 'the wire to the page lets a first few bytes through, and nothing after them',
    isSilent: true,
    async plant({ stage, say, joinedPage }) {
      const hole = await startBlackHole(stage.two.port, BYTES_OF_A_HANDSHAKE + 100);
      await joinedPage(hole.url);
      await say('a message that is longer than what the hole still lets through'.repeat(40));
      const other = await startBlackHole(stage.one.port, BYTES_OF_A_HANDSHAKE);
      return {
        messageId: await say(),
        env: { RELAY_PUBLIC_URL: other.url },
        lift: async () => Promise.all([hole.close(), other.close()]),
      };
    },
    trace: { hop: 'client-received', code: 'NOT_PROVEN', cause: /has not answered a ping/ },
    doctor: { hop: 'canary-websocket', code: 'CONNECTION_STALLS', cause: /answers nothing any more|came back/ },
  },
  {
    name: 'the page is frozen: its process is stopped',
    async plant({ stage, say, groupId, userId }) {
      const script = `const { io } = require('socket.io-client');
        io(process.env.URL, { transports: ['websocket'], auth: { token: process.env.TOKEN } })
          .on('joined-groups', () => console.log('joined'));`;
      const page = startNode(['-e', script], { URL: stage.two.url, TOKEN: await tokenFor(userId, [groupId]) });
      await until('the page to join', () => page.output().includes('joined'));
      page.signal('SIGSTOP');
      return {
        messageId: await say(),
        async lift() {
          page.signal('SIGCONT');
          await page.stop();
        },
      };
    },
    ...ofPerson('NOT_PROVEN', /has not (?:answered a ping|been answered)|a ping has not/, 'client-received'),
  },
  {
    name: 'the page reads too slowly',
    async plant({ stage, say, joinedPage }) {
      // It would come back after it was cut.
      const socket = await joinedPage(stage.two.url, { reconnection: false });
      wireOf(socket).pause();
      for (let sent = 0; sent < 500; sent += 20) {
        await Promise.all(Array.from({ length: 20 }, async () => say(LARGE)));
      }
      return { messageId: await say() };
    },
    ...ofPerson('SLOW_CONSUMER', /does not read|did not read/),
  },
];
