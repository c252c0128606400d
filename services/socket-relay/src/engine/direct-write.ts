import type { Socket as NetSocket } from 'node:net';
import { getSystemErrorName } from 'node:util';

/** The encoding that Node's streams pass with a buffer; its type lists only those of strings. */
const BYTES = 'buffer' as BufferEncoding;

/** Learns that a write is over which was still under way when `writeNow` returned. */
export interface WriteDone {
  /** The operating system has everything, or the write has failed. */
  onOver(): void;
}

/** Node's `WriteWrap`, which stands for a write while libuv has it. */
interface WriteRequest {
  oncomplete: (this: WriteRequest, status: number) => void;
  /** Keeps the bytes alive as long as libuv reads them. */
  bytes: Buffer | undefined;
  wire: NetSocket | undefined;
  done: WriteDone | undefined;
  /** `UNUSED` as long as libuv does not have it. */
  getAsyncId(): number;
}

const UNUSED = -1;

/** Node's handle of a TCP socket. `direct-write.int.test.ts` fails where this goes away. */
interface Handle {
  /**
   * Returns 0, or the error of the operating system as a negative number. libuv gets the request if the first try has left bytes over. They
   * may be out when this returns, since libuv tries again at once, and it has the request all the same until a later turn: the length of the
   * queue says nothing of that.
   */
  writeBuffer(request: WriteRequest, bytes: Buffer): number;
}
interface NetInternals {
  _handle: Handle | null;
}

/** `WriteWrap` has no public name: it is taken from the first write. */
let Request: (new () => WriteRequest) | undefined;
/**
 * The request of the next write. Nearly every write is over when it returns, and has not needed one: to make it, and to throw it away, was
 * 7 to 8 % of what such a write costs.
 */
let spare: WriteRequest | undefined;

function fail(wire: NetSocket, status: number): void {
  const code = getSystemErrorName(status);
  wire.destroy(Object.assign(new Error(`write ${code}`), { errno: status, code, syscall: 'write' }));
}

function onComplete(this: WriteRequest, status: number): void {
  const { wire, done } = this;
  this.bytes = undefined;
  this.wire = undefined;
  this.done = undefined;
  done?.onOver();
  if (wire && status < 0) fail(wire, status);
}

function requestOf(Kind: new () => WriteRequest): WriteRequest {
  return Object.assign(new Kind(), { oncomplete: onComplete, bytes: undefined, wire: undefined, done: undefined });
}

/** Writes as Node's stream does, and looks at the request that it hands to the handle. */
function writeFirst(wire: NetSocket, handle: Handle, bytes: Buffer, done: WriteDone): boolean {
  const writeBuffer = handle.writeBuffer.bind(handle);
  let used: WriteRequest | undefined;
  let isOver = false;
  handle.writeBuffer = (request, given) => {
    used = request;
    return writeBuffer(request, given);
  };
  wire._write(bytes, BYTES, (error) => {
    isOver = true;
    done.onOver();
    if (error) wire.destroy(error);
  });
  handle.writeBuffer = writeBuffer;
  // Only of a write that did not need its request, and where that shows.
  if (isOver && used?.getAsyncId?.() === UNUSED) Request = used.constructor as typeof Request;
  return isOver;
}

/**
 * Writes to a TCP socket whose stream is empty, past the stream and its bookkeeping. Returns whether that is over: the operating system
 * has everything, or it has failed, and the socket is destroyed. What is written next follows on it in any case.
 */
export function writeNow(wire: NetSocket, bytes: Buffer, done: WriteDone): boolean {
  const { _handle: handle } = wire as unknown as NetInternals;
  // It is closed, and its listeners know.
  if (!handle) return true;
  if (!Request) return writeFirst(wire, handle, bytes, done);
  spare ??= requestOf(Request);
  const status = handle.writeBuffer(spare, bytes);
  if (status === 0 && spare.getAsyncId() === UNUSED) return true;
  const request = spare;
  spare = undefined;
  if (status !== 0) {
    fail(wire, status);
    return true;
  }
  request.bytes = bytes;
  request.wire = wire;
  request.done = done;
  return false;
}
