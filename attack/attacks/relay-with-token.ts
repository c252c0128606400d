import { setTimeout as pause } from 'node:timers/promises';
import { tokenFor } from '@groupcast/testing';
import { codeIn, openAs, openPolling, repeat } from '../weapons.ts';
import { type Attack, ask, asUser, attack, huge, positions, type Work } from './moves.ts';

const manyEvents = huge('421["leave-group",{"groupId":"9"}]', 25_000);

function connectAndDrop(sockets: number, known?: Record<string, object>): Work {
  return async ({ relayUrl }, note) => {
    const token = await tokenFor('mallory', ['mine']);
    const once = async (): Promise<void> => {
      const socket = await openAs(relayUrl, token, known);
      note('connected');
      socket.webSocket.terminate();
    };
    await repeat(sockets, once, note);
  };
}

export const relayWithToken: Attack[] = [
  attack('relay', 'one token', 'events', '110,000 events in one POST', async ({ relayUrl }, note) => {
    const token = await tokenFor('mallory', ['mine']);
    const body = huge('42["x"]', 110_000);
    await repeat(
      2,
      async () => {
        const session = await openPolling(relayUrl);
        await session.post(`40${JSON.stringify({ token })}`);
        await session.poll();
        const { status } = await session.post(body);
        note(`${status} ${codeIn((await session.poll()).text)}`);
      },
      note,
    );
  }),
  attack(
    'relay',
    'one token',
    'resume-keys',
    '`resume` with 80,000 keys, 8 sockets',
    asUser(8, async (socket, note) =>
      ask(
        socket,
        'resume',
        { positions: Object.fromEntries(Array.from({ length: 80_000 }, (_, i) => [`k${i}`, 1])) },
        note,
      ),
    ),
  ),
  attack(
    'relay',
    'one token',
    'resume-groups',
    '`resume` of 2,000 groups, 8 sockets',
    asUser(8, async (socket, note) => ask(socket, 'resume', { positions: positions(2_000) }, note)),
  ),
  attack(
    'relay',
    'one token',
    'flood',
    'small events as fast as they go, 16 WebSockets',
    asUser(16, async (socket) => {
      for (let index = 0; index < 1_000; index += 1) socket.send('421["leave-group",{"groupId":"9"}]');
      await pause(5);
    }),
  ),
  attack(
    'relay',
    'one token',
    'flood-by-polling',
    '25,000 events in one POST, again and again',
    async ({ relayUrl }, note) => {
      const token = await tokenFor('mallory', ['mine']);
      await repeat(
        4,
        async () => {
          const session = await openPolling(relayUrl);
          await session.post(`40${JSON.stringify({ token })}`);
          const { status } = await session.post(manyEvents);
          note(`${status} ${codeIn((await session.poll()).text)}`);
        },
        note,
      );
    },
  ),
  attack(
    'relay',
    'one token',
    'reconnects',
    'connects with 2,000 positions, 8 sockets in a loop',
    connectAndDrop(8, positions(2_000)),
  ),
  attack('relay', 'one token', 'connections', 'connects and drops, 64 at once in a loop', connectAndDrop(64)),
  attack(
    'relay',
    'one token',
    'attachments',
    'packets whose 10 attachments of 900 kB come but for the last, 50 sockets',
    asUser(50, async (socket) => {
      socket.send(
        `4510-["x",${Array.from({ length: 10 }, (_, num) => JSON.stringify({ _placeholder: true, num })).join(',')}]`,
      );
      for (let index = 0; index < 9; index += 1) socket.send(Buffer.alloc(900_000));
      await Promise.race([socket.ended, pause(4_000)]);
    }),
  ),
  attack(
    'relay',
    'one token',
    'large-events',
    'events of 900 kB, 8 sockets',
    asUser(8, async (socket, note) => ask(socket, 'x', { text: 'x'.repeat(900_000) }, note)),
  ),
];
