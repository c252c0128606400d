import { setTimeout as pause } from 'node:timers/promises';
import { tokenFor } from '@groupcast/testing';
import {
  type Address,
  type Answers,
  ATTACK_MS,
  codeIn,
  createTally,
  openAs,
  openPolling,
  openSession,
  openTcp,
  openWebSocket,
  type RawSocket,
  repeat,
  SEPARATOR,
} from '../weapons.ts';

export interface Attack {
  name: string;
  what: string;
  victim: 'relay' | 'api';
  /** The means of the attacker. */
  has: 'nothing' | 'one token';
  run(address: Address): Promise<Answers>;
}

export type Note = (answer: string) => void;
export type Work = (address: Address, note: Note) => Promise<void>;

export function attack(victim: Attack['victim'], has: Attack['has'], name: string, what: string, work: Work): Attack {
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

export const positions = (count: number, epoch = '1-a'): Record<string, object> =>
  Object.fromEntries(Array.from({ length: count }, (_, index) => [`g${index}`, { epoch, seq: 1 }]));

/** Opens a polling session and posts the body to it, again and again. */
export function postPayload(body: string, sessions: number): Work {
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
export function sendPackets(packets: readonly (string | Buffer)[], sockets: number): Work {
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
export function asUser(sockets: number, act: (socket: RawSocket, note: Note) => Promise<unknown>): Work {
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
export async function ask(socket: RawSocket, event: string, payload: object, note: Note): Promise<void> {
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
export function holdConnections(
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

export const upgrade = (body = ''): string =>
  `GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n${body}`;
/** The header of a masked text frame of `bytes` bytes, and the first half of its payload. */
export function unfinishedFrame(bytes: number): Buffer {
  const head = Buffer.from([0x81, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
  head.writeUInt32BE(bytes, 6);
  return Buffer.concat([head, Buffer.alloc(bytes / 2, 'x')]);
}
export async function unfinishedPost({ relayUrl }: Address, bytes: number): Promise<Buffer> {
  const target = `/socket.io/?EIO=4&transport=polling&sid=${await openSession(relayUrl)}`;
  const head = `POST ${target} HTTP/1.1\r\nHost: x\r\nContent-Length: ${bytes}\r\n\r\n`;
  return Buffer.concat([Buffer.from(head), Buffer.alloc(bytes / 2, 'x')]);
}

export const huge = (packet: string, count: number): string =>
  Array.from({ length: count }, () => packet).join(SEPARATOR);

/** Opens connections, lets each write the same again and again until it is closed, and opens the next. */
export function writeOn(sockets: number, begin: string, piece: Buffer, to: keyof Address = 'relayUrl'): Work {
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
export const frames = (opcode: number, text = ''): Buffer => {
  const frame = Buffer.from([0x80 | opcode, 0x80 | text.length, 0, 0, 0, 0, ...Buffer.from(text)]);
  return Buffer.concat(Array.from({ length: 10_000 }, () => frame));
};
export const chunkedPost =
  'POST /socket.io/?EIO=4&transport=polling&sid=SID HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n';
