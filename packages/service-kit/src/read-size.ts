import type { Server } from 'node:http';
import { Socket } from 'node:net';
import { getDefaultHighWaterMark } from 'node:stream';

/** How much is read at once of somebody nobody knows, in bytes: most requests and CONNECTs are smaller. */
const LITTLE_BYTES = 4_096;
/** Bytes that Node reads at once. */
const MUCH_BYTES = 65_536;

/**
 * The fields that Node's option `onread` of a client's socket sets. A server's socket has no such option, and the fields have no public names. `_consumed`: its HTTP
 * parser reads past the socket, 64 KiB at once.
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

/** Of all connections: what was read is copied before anything else is read. */
const little = Buffer.allocUnsafeSlow(LITTLE_BYTES);
const much = Buffer.allocUnsafeSlow(MUCH_BYTES);

/** More than the C library ever takes from what it keeps (32 MiB): it asks the system for that, and gives it back. Untouched, it takes no memory. */
const SLAB_BYTES = 33 * 1024 * 1024;
/** How much of it is used before the next one: with the last piece of it that is kept, all of it goes. */
const SLAB_USED_BYTES = 8 * 1024 * 1024;
/** After so long without a large read it is let go of, in milliseconds. */
const SLAB_IDLE_MS = 2_000;
let slab: { memory: Buffer; used: number; idle: NodeJS.Timeout } | undefined;

function pieceOfSlab(bytes: number): Buffer {
  if (!slab || slab.used + bytes > SLAB_USED_BYTES) {
    clearTimeout(slab?.idle);
    const idle = setTimeout(() => {
      slab = undefined;
    }, SLAB_IDLE_MS).unref();
    slab = { memory: Buffer.allocUnsafeSlow(SLAB_BYTES), used: 0, idle };
  }
  slab.idle.refresh();
  const from = slab.used;
  slab.used += bytes;
  return slab.memory.subarray(from, from + bytes);
}

function onRead(this: Socket, bytes: number, buffer: Buffer): boolean {
  const piece = buffer === little && bytes === LITTLE_BYTES ? pieceOfSlab(bytes) : Buffer.allocUnsafeSlow(bytes);
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
