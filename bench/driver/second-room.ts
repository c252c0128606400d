import { AUDIENCE } from '@groupcast/shared';
import { TEST_SECRETS, tokenFor } from '@groupcast/testing';
import { signServiceToken } from '@groupcast/tokens';
import { io, type Socket } from 'socket.io-client';
import { WebSocket } from 'ws';
import { type OnFailure, openInTurns } from './connection.ts';
import type { DialectName } from './dialects.ts';
import { EPOCH, envelope, type Message, messageOf, ROOM } from './messages.ts';
import type { Room } from './room.ts';

/** How the second driver speaks with a server: the credentials, and the event that publishes. */
interface Speech {
  member(name: string): Promise<object>;
  publisher(): Promise<object>;
  /** Whether a packet says that a member is in its room. */
  isReady: (packet: string) => boolean;
  event(message: Message): readonly [name: string, ...values: unknown[]];
}

const SPEECHES: Readonly<Partial<Record<DialectName, Speech>>> = {
  groupcast: {
    member: async (name) => ({ token: await tokenFor(name, [ROOM]) }),
    async publisher() {
      const options = {
        scopes: ['broadcast'],
        subject: 'publisher',
        audience: AUDIENCE.relay,
        ttlSeconds: 600,
      } as const;
      const token = await signServiceToken({ secret: TEST_SECRETS.RELAY_SERVICE_SECRET, ...options });
      return { token, type: 'api' };
    },
    isReady: (packet) => packet.startsWith('42["joined-groups"'),
    event: ({ id, seq, fields }) => [
      'api-broadcast-message',
      { groupId: ROOM, epoch: EPOCH, seq, id, message: fields },
    ],
  },
  stock: {
    member: async (name) => ({ token: await tokenFor(name, [ROOM]), room: ROOM }),
    publisher: async () => ({}),
    isReady: (packet) => packet.startsWith('40'),
    event: (message) => ['publish', ROOM, envelope(message)],
  },
};

function speechOf(dialect: DialectName): Speech {
  const speech = SPEECHES[dialect];
  if (!speech) throw new Error(`the second driver does not speak ${dialect}`);
  return speech;
}

async function connectPublisher(port: number, auth: object): Promise<Socket> {
  const publisher = io(`http://127.0.0.1:${port}`, { auth, transports: ['websocket'], forceNew: true });
  await new Promise<void>((resolve, reject) => {
    publisher.once('connect', resolve);
    publisher.once('connect_error', reject);
  });
  return publisher;
}

/** A member on a WebSocket of ws, which parses every message as JSON. */
async function connectMember(options: {
  port: number;
  auth: object;
  isReady: Speech['isReady'];
  onSeq: (seq: number) => void;
  onFailure: OnFailure;
}): Promise<void> {
  const { port, auth, isReady, onSeq, onFailure } = options;
  const address = `ws://127.0.0.1:${port}/socket.io/?EIO=4&transport=websocket`;
  const webSocket = new WebSocket(address, { perMessageDeflate: false });
  await new Promise<void>((resolve, reject) => {
    webSocket.on('error', reject);
    webSocket.on('close', (code) => onFailure(new Error(`a member was closed with ${code}`)));
    webSocket.on('message', (data: Buffer) => {
      const packet = data.toString();
      if (packet[0] === '0') webSocket.send(`40${JSON.stringify(auth)}`);
      else if (packet === '2') webSocket.send('3');
      else if (isReady(packet)) resolve();
      else if (packet.startsWith('42["new-message"')) onSeq((JSON.parse(packet.slice(2)) as [string, Message])[1].seq);
    });
  });
}

/**
 * A room as `openRoom` makes it, with other programs: the publisher is socket.io-client, whose messages are a write each, with an
 * acknowledgement each that nobody waits for before the next, and the members are WebSockets of ws that read every message as JSON.
 */
export async function openSecondRoom(options: {
  ports: readonly number[];
  dialect: DialectName;
  members: number;
  onFailure: OnFailure;
}): Promise<Room> {
  const { ports, dialect, onFailure } = options;
  const speech = speechOf(dialect);
  let members = 0;
  let head = 0;
  let acknowledged = 0;
  let onSettled = (): void => undefined;
  const counts = new Map<number, number>();
  const waiting = new Map<number, (seq: number) => void>();

  function counted(seq: number): void {
    const count = (counts.get(seq) ?? 0) + 1;
    counts.set(seq, count);
    if (count < members) return;
    counts.delete(seq);
    const onComplete = waiting.get(seq);
    waiting.delete(seq);
    onComplete?.(seq);
  }

  async function join(n: number): Promise<void> {
    const name = `member-${n}`;
    let last = 0;
    await connectMember({
      port: ports[n % ports.length] ?? 0,
      auth: await speech.member(name),
      isReady: speech.isReady,
      onSeq(seq) {
        if (seq !== last + 1) onFailure(new Error(`${name} received ${seq} after ${last} of ${ROOM}`));
        last = seq;
        counted(seq);
      },
      onFailure,
    });
  }
  async function add(count: number): Promise<void> {
    const before = members;
    members += count;
    await openInTurns(count, async (n) => join(before + n));
  }
  const publisher = await connectPublisher(ports[0] ?? 0, await speech.publisher());
  await add(options.members);

  function onAcknowledged(answer: { ok: boolean }): void {
    if (!answer.ok) onFailure(new Error(`a publish was refused: ${JSON.stringify(answer)}`));
    acknowledged += 1;
    if (acknowledged === head) onSettled();
  }

  return {
    add,
    publish(count, bytes, onComplete) {
      const messages = Array.from({ length: count }, (_, n) => messageOf(head + n + 1, bytes));
      head += count;
      waiting.set(head, onComplete);
      for (const message of messages) publisher.emit(...speech.event(message), onAcknowledged);
    },
    async settled() {
      if (acknowledged === head) return;
      await new Promise<void>((resolve) => {
        onSettled = resolve;
      });
    },
  };
}
