import type { Socket as NetSocket } from 'node:net';

/** Fields of Engine.IO and ws that have no public name. `gathering-sender.int.test.ts` fails where one of them goes away. */
export interface Engine {
  readyState: string;
  protocol: number;
  writeBuffer: unknown[];
  transport: Transport;
}
interface Transport {
  name: string;
  writable: boolean;
  perMessageDeflate?: unknown;
  socket?: WebSocket;
}
interface WebSocket {
  readyState: number;
  extensions: string;
  bufferedAmount: number;
  _socket: NetSocket | null;
  terminate(): void;
}

const WEB_SOCKET_OPEN = 1;

/**
 * The TCP socket, where a frame that is written to it now follows on everything that was written to the connection: the engine is
 * open and has nothing queued, and its transport is a WebSocket that is not busy and keeps nothing back, as it does with extensions.
 */
export function wireBehind({ readyState, protocol, writeBuffer, transport }: Engine): NetSocket | undefined {
  const { name, writable, perMessageDeflate, socket: webSocket } = transport;
  const isClear =
    readyState === 'open' &&
    protocol === 4 &&
    writeBuffer.length === 0 &&
    name === 'websocket' &&
    writable &&
    !perMessageDeflate &&
    webSocket?.readyState === WEB_SOCKET_OPEN &&
    webSocket.extensions === '' &&
    webSocket.bufferedAmount === 0;
  return isClear ? (webSocket._socket ?? undefined) : undefined;
}
