import type { Socket as NetSocket } from 'node:net';
import { sentOn, unsentOn } from '../engine/wire.ts';
import type { RelaySocket } from '../sessions/session.ts';

/** The bytes that a connection's engine was given and the client's side has not taken, looked at from outside. */
export interface BacklogSample {
  /** Bytes in the engine's queue and in sockets, from which the operating system takes them as the peer reads. */
  bytes: number;
  /** Differs from the last sample's whenever anything went out in between. */
  progress: number;
}

export interface SendBacklog {
  /** Takes time for the packets that were queued since the last sample, not for all that are queued. */
  sample(): BacklogSample;
  /**
   * Forgets all packets that the transport was not given yet, except the last one. Call it only for a connection that ends with that
   * packet: anything after it would follow a gap.
   */
  dropAllButLast(): void;
  /** Cuts the wire, whether or not anything is still on it. */
  destroy(): void;
}

interface EnginePacket {
  data?: string | Uint8Array;
  options?: { wsPreEncodedFrame?: readonly Uint8Array[] };
}

/** Fields of Engine.IO, ws and Node that have no public name. `slow-consumers.int.test.ts` fails where one of them goes away. */
interface EngineConnection {
  writeBuffer: EnginePacket[];
  transport: { name: string; socket?: { bufferedAmount: number; terminate(): void; _socket?: NetSocket | null } };
}

function sizeOf({ data, options }: EnginePacket): number {
  const frame = options?.wsPreEncodedFrame;
  if (frame) return frame.reduce((bytes, part) => bytes + part.length, 0);
  return typeof data === 'string' ? Buffer.byteLength(data) : (data?.length ?? 0);
}

export function createSendBacklog({ conn }: RelaySocket): SendBacklog {
  const engine = conn as unknown as EngineConnection;
  /** The engine takes a new array whenever it hands the old one to its transport. */
  let queue = engine.writeBuffer;
  let counted = 0;
  let queuedBytes = 0;
  let handovers = 0;
  /** Sockets of answers to polls that the client has not read to their end. */
  const answers = new Set<NetSocket>();

  function forgetReadAnswers(): void {
    for (const socket of answers) if (socket.destroyed || socket.writableLength === 0) answers.delete(socket);
  }
  // A client may come with the next poll, on another socket, before it has read the answer to the last.
  if (engine.transport.name === 'polling') {
    conn.transport.on('headers', (_headers: unknown, request: { socket: NetSocket }) => {
      forgetReadAnswers();
      answers.add(request.socket);
    });
  }

  function countQueue(): void {
    if (engine.writeBuffer !== queue || queue.length < counted) {
      queue = engine.writeBuffer;
      handovers += 1;
      counted = 0;
      queuedBytes = 0;
    }
    for (; counted < queue.length; counted += 1) queuedBytes += sizeOf(queue[counted] ?? {});
  }

  return {
    sample() {
      countQueue();
      let bytes = queuedBytes;
      forgetReadAnswers();
      for (const socket of answers) bytes += unsentOn(socket);
      const ws = engine.transport.socket;
      // A poll takes everything that waits for it.
      if (!ws?._socket) return { bytes, progress: handovers };
      const inSender = ws.bufferedAmount - ws._socket.writableLength;
      return { bytes: bytes + inSender + unsentOn(ws._socket), progress: sentOn(ws._socket) };
    },
    dropAllButLast() {
      engine.writeBuffer.splice(0, engine.writeBuffer.length - 1);
    },
    destroy() {
      conn.close(true);
      engine.transport.socket?.terminate();
      for (const socket of answers) socket.destroy();
    },
  };
}
