import type { Server } from 'node:http';
import { Socket } from 'node:net';
import { getDefaultHighWaterMark } from 'node:stream';

/** Bytes read at once of a connection that has not authenticated: most requests and CONNECTs are smaller. */
const LITTLE_BYTES = 4_096;
/** Bytes that Node reads at once. */
const MUCH_BYTES = 65_536;

/**
 * The fields that Node's option `onread` of a client's socket sets. A server's socket has no such option, and the fields have no public
 * names. With `_consumed` unset, Node's HTTP parser reads past the socket, 64 KiB at once.
 */
interface ReadIntoBuffer {
  _handle?: { useUserBuffer?: (buffer: Buffer) => void; _consumed?: boolean } | null;
  _readableState: { highWaterMark: number };
  [field: symbol]: unknown;
}
function fieldOf(name: string): symbol | undefined {
  return Object.getOwnPropertySymbols(new Socket()).find(({ description }) => description === name);
}
const BUFFER = fieldOf('kBuffer');
const ON_READ = fieldOf('kBufferCb');
const NEXT_BUFFER = fieldOf('kBufferGen');

/** Buffers that all connections are read into: each read is copied before the next one. */
const little = Buffer.allocUnsafeSlow(LITTLE_BYTES);
const much = Buffer.allocUnsafeSlow(MUCH_BYTES);

function onRead(this: Socket, bytes: number, buffer: Buffer): boolean {
  // Of its own, and no larger than what was read: a view on a part of it that a parser keeps holds nothing else.
  const piece = Buffer.allocUnsafeSlow(bytes);
  buffer.copy(piece, 0, 0, bytes);
  return this.push(piece);
}

function nextIsMuch(): Buffer {
  return much;
}

/**
 * Reads little at once of a connection until `readMuch` is called, and one piece more once it is paused. Node takes 64 KiB from the C library for each
 * read, and the C library gives back to the system only what lies above everything that is still used: what a crowd sends for nothing would stay.
 * Where Node has these fields no more, it reads as it always does.
 */
export function readLittle(socket: Socket): void {
  const wire = socket as unknown as ReadIntoBuffer;
  if (!BUFFER || !ON_READ || !NEXT_BUFFER || !wire._handle?.useUserBuffer || wire[BUFFER]) return;
  wire._handle.useUserBuffer(little);
  wire[BUFFER] = little;
  wire[ON_READ] = onRead;
  wire._readableState.highWaterMark = LITTLE_BYTES;
}

export function readMuch(socket: Socket): void {
  const wire = socket as unknown as ReadIntoBuffer;
  if (!BUFFER || !NEXT_BUFFER || !wire[BUFFER]) return;
  wire[NEXT_BUFFER] = nextIsMuch;
  wire._readableState.highWaterMark = getDefaultHighWaterMark(false);
}

/** Reads little at once of every connection that the server accepts. To be called before it listens. */
export function readLittleOf(server: Server): void {
  // Before Node's own listener, which gives it a parser.
  server.prependListener('connection', (socket: Socket) => {
    readLittle(socket);
    const { _handle: handle } = socket as unknown as ReadIntoBuffer;
    if (handle && BUFFER && (socket as unknown as ReadIntoBuffer)[BUFFER]) handle._consumed = true;
  });
}
