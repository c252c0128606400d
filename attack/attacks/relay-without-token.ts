import { setTimeout as pause } from 'node:timers/promises';
import { ATTACK_MS, openPolling, openTcp, openWebSocket, repeat } from '../weapons.ts';
import {
  type Attack,
  attack,
  chunkedPost,
  frames,
  holdConnections,
  huge,
  positions,
  postPayload,
  sendPackets,
  unfinishedFrame,
  unfinishedPost,
  upgrade,
  writeOn,
} from './moves.ts';

export const relayWithoutToken: Attack[] = [
  attack('relay', 'nothing', 'nobody', 'nobody attacks', async (_address, note) => {
    await pause(ATTACK_MS);
    note('nothing');
  }),
  attack(
    'relay',
    'nothing',
    'connects',
    '330,000 CONNECT packets in one POST, 4 sessions',
    postPayload(huge('40', 330_000), 4),
  ),
  attack(
    'relay',
    'nothing',
    'namespaces',
    '165,000 CONNECTs to other namespaces in one POST',
    postPayload(huge('40/a,', 165_000), 4),
  ),
  attack('relay', 'nothing', 'noops', '495,000 noops in one POST', postPayload(huge('6', 495_000), 4)),
  attack(
    'relay',
    'nothing',
    'positions',
    'a CONNECT with 18,000 positions, 8 sockets in a loop',
    sendPackets([`40${JSON.stringify({ positions: positions(18_000) })}`], 8),
  ),
  attack(
    'relay',
    'nothing',
    'empty-positions',
    'a CONNECT with 80,000 keys, 8 sockets in a loop',
    sendPackets([`40{"positions":{${Array.from({ length: 80_000 }, (_, index) => `"k${index}":1`).join(',')}}}`], 8),
  ),
  attack(
    'relay',
    'nothing',
    'largest-connects',
    'the largest CONNECT that is read, 8 sockets in a loop',
    sendPackets([`40${JSON.stringify({ token: 'x'.repeat(90_000), positions: positions(1_900) })}`], 8),
  ),
  attack(
    'relay',
    'nothing',
    'two-connects',
    'two CONNECTs on a WebSocket, 16 in a loop',
    sendPackets(['40', '40'], 16),
  ),
  attack(
    'relay',
    'nothing',
    'digits',
    'a packet number of 990,000 digits',
    sendPackets([`42${'7'.repeat(990_000)}[]`], 8),
  ),
  attack(
    'relay',
    'nothing',
    'sessions',
    'polling sessions that do nothing more, 64 at once in a loop',
    async ({ relayUrl }, note) => {
      await repeat(
        64,
        async () => {
          await openPolling(relayUrl);
          note('opened');
        },
        note,
      );
    },
  ),
  attack(
    'relay',
    'nothing',
    'silent-sockets',
    '1,000 WebSockets that say nothing',
    holdConnections(1_000, () => upgrade(), 'relayUrl'),
  ),
  attack(
    'relay',
    'nothing',
    'early-frames',
    '1,000 WebSockets that send 450 kB before they are answered',
    holdConnections(1_000, () => Buffer.concat([Buffer.from(upgrade()), unfinishedFrame(900_000)]), 'relayUrl'),
  ),
  attack(
    'relay',
    'nothing',
    'unfinished',
    '1,000 WebSockets with half a frame of 900 kB',
    holdConnections(1_000, () => upgrade(), 'relayUrl', unfinishedFrame(900_000)),
  ),
  attack(
    'relay',
    'nothing',
    'unfinished-that-fit',
    '1,000 WebSockets with half a frame of 350 kB, which may be a CONNECT',
    holdConnections(1_000, () => upgrade(), 'relayUrl', unfinishedFrame(350_000)),
  ),
  attack(
    'relay',
    'nothing',
    'unfinished-posts',
    '1,000 polling sessions with half a POST of 900 kB',
    holdConnections(1_000, async (address) => unfinishedPost(address, 900_000), 'relayUrl'),
  ),
  attack(
    'relay',
    'nothing',
    'pipelined',
    'pipelined requests, 64 kB at once, 16 sockets',
    async ({ relayUrl }, note) => {
      const piece = Buffer.from('GET /livez HTTP/1.1\r\nHost: x\r\n\r\n'.repeat(2_000));
      await repeat(
        16,
        async () => {
          const socket = await openTcp(relayUrl);
          let bytes = 0;
          const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
          const answered = new Promise<void>((resolve) => {
            socket.on('data', (data: Buffer) => {
              bytes += data.length;
              if (bytes > 300_000) resolve();
            });
          });
          socket.write(piece);
          await Promise.race([closed, answered, pause(2_000)]);
          note(bytes > 300_000 ? 'answered' : 'closed');
          socket.destroy();
        },
        note,
      );
    },
  ),
  attack(
    'relay',
    'nothing',
    'expectations',
    'pipelined requests with an `Expect`, 16 sockets',
    writeOn(16, '', Buffer.from('GET / HTTP/1.1\r\nHost: x\r\nExpect: x\r\n\r\n'.repeat(1_500))),
  ),
  attack(
    'relay',
    'nothing',
    'tiny-chunks',
    'payloads in chunks of one byte, 40 sockets',
    writeOn(40, chunkedPost, Buffer.from('1\r\na\r\n'.repeat(10_000))),
  ),
  attack('relay', 'nothing', 'pings', 'WebSocket pings, 32 sockets', writeOn(32, upgrade(), frames(9))),
  attack('relay', 'nothing', 'pongs', 'WebSocket pongs, 32 sockets', writeOn(32, upgrade(), frames(10))),
  attack(
    'relay',
    'nothing',
    'empty-frames',
    'empty frames, which close, 32 sockets',
    writeOn(32, upgrade(), frames(1)),
  ),
  attack('relay', 'nothing', 'noop-frames', 'frames of one noop, 32 sockets', writeOn(32, upgrade(), frames(1, '6'))),
  attack(
    'relay',
    'nothing',
    'upgrades',
    'WebSockets opened and dropped, 64 at once in a loop',
    async ({ relayUrl }, note) => {
      await repeat(
        64,
        async () => {
          const { webSocket } = await openWebSocket(relayUrl);
          webSocket.terminate();
          note('opened');
        },
        note,
      );
    },
  ),
  attack(
    'relay',
    'nothing',
    'idle-tcp',
    '3,000 TCP connections that say nothing',
    holdConnections(3_000, () => undefined, 'relayUrl'),
  ),
  attack(
    'relay',
    'nothing',
    'slow-bodies',
    '500 requests whose body never comes',
    holdConnections(
      500,
      () => 'POST /socket.io/?EIO=4&transport=polling&sid=x HTTP/1.1\r\nHost: x\r\nContent-Length: 900000\r\n\r\nx',
      'relayUrl',
    ),
  ),
];
