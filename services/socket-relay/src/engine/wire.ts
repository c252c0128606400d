import type { Socket as NetSocket } from 'node:net';
import type { Socket as EngineSocket } from 'engine.io';

/** Fields of Engine.IO and ws that have no public name. `batching-sender.int.test.ts` fails where one of them goes away. */
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
  _receiver?: {
    _bufferedBytes?: number;
    _buffers?: Buffer[];
    _messageLength?: number;
    _fragments?: Buffer[];
    _mask?: Buffer | undefined;
  } | null;
  readyState: number;
  extensions: string;
  bufferedAmount: number;
  _socket: NetSocket | null;
  _sender?: { sendFrame?: unknown };
  terminate(): void;
}

const WEB_SOCKET_OPEN = 1;

/**
 * Returns the TCP socket if a frame that is written to it now follows on everything that was written to the connection: the engine is open
 * and has nothing queued, and its transport is a WebSocket that is not busy and keeps nothing back, as it does with extensions. The frames
 * of a raw one are others.
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

/**
 * Whether the engine writes the frame that comes with a packet, and ignores its data. The engine asks itself the same when it writes. The
 * answer stays: a connection leaves polling for a WebSocket, and never a WebSocket for anything else.
 */
export function takesFrames({ transport: { perMessageDeflate, socket: webSocket } }: Engine): boolean {
  return !perMessageDeflate && typeof webSocket?._sender?.sendFrame === 'function';
}

/** Fields of Node that have no public name. `slow-consumers.int.test.ts` fails where one of them goes away. */
interface NetInternals {
  /** `bytesWritten` counts the bytes that libuv was given, `writeQueueSize` those that it still has. */
  _handle?: { bytesWritten?: number; writeQueueSize?: number } | null;
  /** The size of the one write of the stream that is under way. */
  _writableState?: { writelen?: number };
}

/**
 * Returns the bytes that were written to the socket, through its stream or past it, and that the operating system has not taken. A large
 * write is under way as a whole until its last byte is out, which takes a slow reader long; its bytes that are already out do not count.
 */
export function unsentOn(socket: NetSocket): number {
  const { _handle: handle, _writableState: state } = socket as unknown as NetInternals;
  const { writableLength } = socket;
  return handle?.writeQueueSize === undefined
    ? writableLength
    : writableLength - (state?.writelen ?? 0) + handle.writeQueueSize;
}

/** Returns the bytes that the operating system has taken so far. */
export function sentOn(socket: NetSocket): number {
  const { _handle: handle } = socket as unknown as NetInternals;
  return (handle?.bytesWritten ?? 0) - (handle?.writeQueueSize ?? 0);
}

/** Bytes of memory for a piece of an unfinished packet, besides its content. */
export const BYTES_PER_PIECE = 128;

/** Returns the bytes of a WebSocket's unfinished messages, which the process keeps until the rest comes. */
export function pendingInMessages(webSocket: object): number {
  const { _receiver: receiver } = webSocket as WebSocket;
  if (!receiver) return 0;
  const pieces = (receiver._buffers?.length ?? 0) + (receiver._fragments?.length ?? 0);
  return (receiver._bufferedBytes ?? 0) + (receiver._messageLength ?? 0) + pieces * BYTES_PER_PIECE;
}

/** Forgets the parts of messages that are not complete: nobody will look at them. */
export function dropUnread(webSocket: object): void {
  const { _receiver: receiver } = webSocket as WebSocket;
  if (receiver) Object.assign(receiver, { _buffers: [], _bufferedBytes: 0, _fragments: [], _messageLength: 0 });
}

/** Ends a connection now, whatever is on its wire or still to come. */
export function cutConnection(conn: EngineSocket): void {
  conn.close(true);
  (conn as unknown as Engine).transport.socket?.terminate();
}

/** How long a connection that is refused may take to read why, in milliseconds. */
export const REFUSED_GRACE_MS = 1_000;

/** Closes a connection after its last packet was written, and reads nothing more from it. */
export function closeUnread(conn: EngineSocket): void {
  const { socket: webSocket } = (conn as unknown as Engine).transport;
  conn.close();
  webSocket?._socket?.pause();
  if (webSocket) dropUnread(webSocket);
  setTimeout(() => cutConnection(conn), REFUSED_GRACE_MS).unref();
}
