import { setTimeout as pause } from 'node:timers/promises';
import { tokenFor } from '@groupcast/testing';
import {
  type Address,
  type Answers,
  ATTACK_MS,
  codeIn,
  createTally,
  http,
  openAs,
  openPolling,
  openSession,
  openTcp,
  openWebSocket,
  type RawSocket,
  repeat,
  SEPARATOR,
} from './weapons.ts';

export interface Attack {
  name: string;
  what: string;
  victim: 'relay' | 'api';
  /** What the attacker has. */
  has: 'nothing' | 'one token';
  run(address: Address): Promise<Answers>;
}

type Note = (answer: string) => void;
type Work = (address: Address, note: Note) => Promise<void>;

function attack(victim: Attack['victim'], has: Attack['has'], name: string, what: string, work: Work): Attack {
  return {
    name,
    what,
    victim,
    has,
    async run(address) {
      const { answers, note } = createTally();
      await work(address, note);
      return answers;
    },
  };
}

const positions = (count: number, epoch = '1-a'): Record<string, object> =>
  Object.fromEntries(Array.from({ length: count }, (_, index) => [`g${index}`, { epoch, seq: 1 }]));

/** Opens a polling session and posts the body to it, again and again. */
function postPayload(body: string, sessions: number): Work {
  return async ({ relayUrl }, note) => {
    await repeat(
      sessions,
      async () => {
        const session = await openPolling(relayUrl);
        const { status } = await session.post(body);
        const { text } = await session.poll();
        note(`${status} ${codeIn(text)}`);
      },
      note,
    );
  };
}

/** Opens a WebSocket and sends the packets, again and again. */
function sendPackets(packets: readonly (string | Buffer)[], sockets: number): Work {
  return async ({ relayUrl }, note) => {
    await repeat(
      sockets,
      async () => {
        const socket = await openWebSocket(relayUrl);
        for (const packet of packets) socket.send(packet);
        note(await Promise.race([socket.told, socket.ended, pause(2_000, 'open')]));
        socket.webSocket.terminate();
      },
      note,
    );
  };
}

/** Keeps connections of one user open, and has each do something until the time is over; one that is cut comes back. */
function asUser(sockets: number, act: (socket: RawSocket, note: Note) => Promise<unknown>): Work {
  return async ({ relayUrl }, note) => {
    const token = await tokenFor('mallory', ['mine']);
    const open: (RawSocket | undefined)[] = [];
    await repeat(
      sockets,
      async (worker) => {
        let socket = open[worker];
        if (!socket || socket.webSocket.readyState !== 1) {
          if (socket) note(await socket.ended);
          socket = await openAs(relayUrl, token);
          open[worker] = socket;
        }
        await act(socket, note);
      },
      note,
    );
    for (const socket of open) socket?.webSocket.terminate();
  };
}

/** Sends an event with an acknowledgement and waits for the answer. */
async function ask(socket: RawSocket, event: string, payload: object, note: Note): Promise<void> {
  const answer = new Promise<string>((resolve) => {
    const listener = (data: Buffer): void => {
      const text = data.toString();
      if (!text.startsWith('43')) return;
      socket.webSocket.off('message', listener);
      resolve(text.includes('"ok":true') ? 'ok' : codeIn(text));
    };
    socket.webSocket.on('message', listener);
  });
  socket.send(`421${JSON.stringify([event, payload])}`);
  note(await Promise.race([answer, socket.ended, pause(3_000, 'no answer')]));
}

/** Opens `count` TCP connections as fast as possible and holds them until the attack is over. */
function holdConnections(
  count: number,
  onOpen: (address: Address) => Buffer | string | undefined | Promise<Buffer>,
  to: keyof Address,
  onAnswer?: Buffer,
): Work {
  return async (address, note) => {
    const until = performance.now() + ATTACK_MS;
    const sockets = [];
    for (let index = 0; index < count && performance.now() < until; index += 1) {
      try {
        const socket = await openTcp(address[to]);
        let answer = '';
        socket.on('data', (data: Buffer) => {
          if (answer) return;
          answer = data.toString().split('\r\n')[0] ?? '';
          if (onAnswer) socket.write(onAnswer);
        });
        socket.once('close', () => note(answer || 'closed'));
        const first = await onOpen(address);
        if (first) socket.write(first);
        sockets.push(socket);
      } catch (error) {
        note((error as NodeJS.ErrnoException).code ?? 'refused');
      }
    }
    await pause(Math.max(0, until - performance.now()));
    for (const socket of sockets) {
      if (!socket.destroyed) note('still open');
      socket.removeAllListeners('close');
      socket.destroy();
    }
  };
}

const upgrade = (body = ''): string =>
  `GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n${body}`;
/** A masked text frame of so many bytes, of which half comes. */
function unfinishedFrame(bytes: number): Buffer {
  const head = Buffer.from([0x81, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
  head.writeUInt32BE(bytes, 6);
  return Buffer.concat([head, Buffer.alloc(bytes / 2, 'x')]);
}
async function unfinishedPost({ relayUrl }: Address, bytes: number): Promise<Buffer> {
  const target = `/socket.io/?EIO=4&transport=polling&sid=${await openSession(relayUrl)}`;
  const head = `POST ${target} HTTP/1.1\r\nHost: x\r\nContent-Length: ${bytes}\r\n\r\n`;
  return Buffer.concat([Buffer.from(head), Buffer.alloc(bytes / 2, 'x')]);
}

const huge = (packet: string, count: number): string => Array.from({ length: count }, () => packet).join(SEPARATOR);

/** Opens connections, lets each write the same again and again until it is closed, and opens the next. */
function writeOn(sockets: number, begin: string, piece: Buffer, to: keyof Address = 'relayUrl'): Work {
  return async (address, note) => {
    await repeat(
      sockets,
      async () => {
        const socket = await openTcp(address[to]);
        const until = performance.now() + ATTACK_MS / 4;
        socket.on('data', () => undefined);
        if (begin) socket.write(begin.replace('SID', begin.includes('SID') ? await openSession(address.relayUrl) : ''));
        while (!socket.destroyed && performance.now() < until) {
          const drained = new Promise((resolve) => socket.write(piece, resolve));
          await Promise.race([drained, pause(500)]);
        }
        note(socket.destroyed ? 'closed' : 'still open');
        socket.destroy();
      },
      note,
    );
  };
}

/** 10,000 small frames of a client, each with a mask of zeros. */
const frames = (opcode: number, text = ''): Buffer => {
  const frame = Buffer.from([0x80 | opcode, 0x80 | text.length, 0, 0, 0, 0, ...Buffer.from(text)]);
  return Buffer.concat(Array.from({ length: 10_000 }, () => frame));
};
const chunkedPost =
  'POST /socket.io/?EIO=4&transport=polling&sid=SID HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n';

const relayWithoutToken: Attack[] = [
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

const manyEvents = huge('421["leave-group",{"groupId":"9"}]', 25_000);

const relayWithToken: Attack[] = [
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
    async ({ relayUrl }, note) => {
      const token = await tokenFor('mallory', ['mine']);
      await repeat(
        8,
        async () => {
          const socket = await openAs(relayUrl, token, positions(2_000));
          note('connected');
          socket.webSocket.terminate();
        },
        note,
      );
    },
  ),
  attack(
    'relay',
    'one token',
    'connections',
    'connects and drops, 64 at once in a loop',
    async ({ relayUrl }, note) => {
      const token = await tokenFor('mallory', ['mine']);
      await repeat(
        64,
        async () => {
          const socket = await openAs(relayUrl, token);
          note('connected');
          socket.webSocket.terminate();
        },
        note,
      );
    },
  ),
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

const apiWithoutToken: Attack[] = [
  attack(
    'api',
    'nothing',
    'api-idle-tcp',
    '3,000 TCP connections that say nothing',
    holdConnections(3_000, () => undefined, 'apiUrl'),
  ),
  attack(
    'api',
    'nothing',
    'api-slow-bodies',
    '500 requests whose body never comes',
    holdConnections(
      500,
      () =>
        'POST /api/messaging/groups HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 60000\r\n\r\n{',
      'apiUrl',
    ),
  ),
  attack('api', 'nothing', 'api-requests', 'requests without a token, 64 at once', async ({ apiUrl }, note) => {
    await repeat(64, async () => note(codeIn((await http(`${apiUrl}/api/messaging/groups`)).text)), note);
  }),
];

async function makeGroup(apiUrl: string, token: string, memberIds: readonly string[] = []): Promise<string> {
  const { status, text } = await http(`${apiUrl}/api/messaging/groups`, {
    method: 'POST',
    token,
    body: JSON.stringify({ name: 'g', memberIds }),
  });
  if (status !== 201) throw new Error(codeIn(text));
  return (JSON.parse(text) as { group: { id: string } }).group.id;
}

const apiWithToken: Attack[] = [
  attack('api', 'one token', 'api-burst', '800 messages of 20 kB at once', async ({ apiUrl }, note) => {
    const token = await tokenFor('mallory');
    const url = `${apiUrl}/api/messaging/groups/${await makeGroup(apiUrl, token)}/messages`;
    const body = JSON.stringify({ content: 'x'.repeat(20_000) });
    await Promise.all(
      Array.from({ length: 800 }, async () => {
        const { status, text } = await http(url, { method: 'POST', token, body });
        note(status === 201 ? '201' : codeIn(text));
      }),
    );
  }),
  attack(
    'api',
    'one token',
    'api-pages',
    '`GET /events?limit=500` of 20 kB each, 200 at once',
    async ({ apiUrl }, note) => {
      const token = await tokenFor('mallory');
      const group = `${apiUrl}/api/messaging/groups/${await makeGroup(apiUrl, token)}`;
      const body = JSON.stringify({ content: 'x'.repeat(20_000) });
      for (let index = 0; index < 500; index += 1) await http(`${group}/messages`, { method: 'POST', token, body });
      await Promise.all(
        Array.from({ length: 200 }, async () => {
          const { status, text } = await http(`${group}/events?limit=500`, { token });
          note(status === 200 ? `200, ${Math.round(text.length / 100_000) / 10} MB` : codeIn(text));
        }),
      );
    },
  ),
  attack(
    'api',
    'one token',
    'api-invalid',
    'requests that are refused as invalid, 64 at once',
    async ({ apiUrl }, note) => {
      const token = await tokenFor('mallory');
      const url = `${apiUrl}/api/messaging/groups`;
      await repeat(
        64,
        async () => note(codeIn((await http(url, { method: 'POST', token, body: '{"name":7}' })).text)),
        note,
      );
    },
  ),
  attack(
    'api',
    'one token',
    'api-items',
    'bodies of 440 kB that are all brackets and commas, 64 at once',
    async ({ apiUrl }, note) => {
      const token = await tokenFor('mallory');
      const body = `{"name":"g","x":[${'[0],'.repeat(110_000)}0]}`;
      const url = `${apiUrl}/api/messaging/groups`;
      await repeat(64, async () => note(codeIn((await http(url, { method: 'POST', token, body })).text)), note);
    },
  ),
  attack(
    'api',
    'one token',
    'api-made-up',
    '120 groups of 950 made-up members, created and deleted',
    async ({ apiUrl }, note) => {
      const token = await tokenFor('mallory');
      for (let index = 0; index < 120; index += 1) {
        try {
          const members = Array.from({ length: 950 }, (_, member) => `nobody-${index}-${member}`);
          const id = await makeGroup(apiUrl, token, members);
          const { status, text } = await http(`${apiUrl}/api/messaging/groups/${id}`, { method: 'DELETE', token });
          note(status === 204 ? 'made and deleted' : codeIn(text));
        } catch (error) {
          note(error instanceof Error ? error.message : String(error));
        }
      }
    },
  ),
];

export const ATTACKS: readonly Attack[] = [
  ...relayWithoutToken,
  ...relayWithToken,
  ...apiWithoutToken,
  ...apiWithToken,
];
