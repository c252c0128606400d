import type { Server } from 'node:http';
import { Socket } from 'node:net';
import { getDefaultHighWaterMark } from 'node:stream';

/** Bytes read at once of a connection that has not authenticated: most requests and CONNECTs are smaller. */
const LITTLE_BYTES = 4_096;
/** Bytes read at once of other connections, as by Node itself. */
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
  // Each piece has memory of its own, of the size that was read: a parser's view on a few bytes of it keeps nothing else alive.
  const piece = Buffer.allocUnsafeSlow(bytes);
  buffer.copy(piece, 0, 0, bytes);
  return this.push(piece);
}

function nextIsMuch(): Buffer {
  return much;
}

/**
 * Reads 4 KiB at once of a connection until `readMuch` is called, and at most one more piece once it is paused. Node takes 64 KiB from the C
 * library for each read, and the C library gives memory back to the system only from the end of its heap: the reads of an attack would
 * stay. A Node without these fields reads as always.
 */
export function readLittle(socket: Socket): void {
  const wire = socket as unknown as ReadIntoBuffer;
  if (!BUFFER || !ON_READ || !NEXT_BUFFER || !wire._handle?.useUserBuffer || wire[BUFFER]) return;
  wire._handle.useUserBuffer(little);
  wire[BUFFER] = little;
  wire[ON_READ] = onRead;
  wire._readableState.highWaterMark = LITTLE_BYTES;
}

/** The connection has authenticated: reads 64 KiB at once from the next read on. */
export function readMuch(socket: Socket): void {
  const wire = socket as unknown as ReadIntoBuffer;
  if (!BUFFER || !NEXT_BUFFER || !wire[BUFFER]) return;
  wire[NEXT_BUFFER] = nextIsMuch;
  wire._readableState.highWaterMark = getDefaultHighWaterMark(false);
}

/** Calls `readLittle` for every connection that the server accepts. Call it before the server listens. */
export function readLittleOf(server: Server): void {
  // Before Node's own listener, which gives it a parser.
  server.prependListener('connection', (socket: Socket) => {
    readLittle(socket);
    const { _handle: handle } = socket as unknown as ReadIntoBuffer;
    if (handle && BUFFER && (socket as unknown as ReadIntoBuffer)[BUFFER]) handle._consumed = true;
  });
}
