import type { IncomingMessage } from 'node:http';
import { GroupcastError } from '@groupcast/shared';
import { type Holder, readingTurns, unfinished } from './unfinished.ts';
import { BYTES_PER_PIECE, REFUSED_GRACE_MS } from './wire.ts';

/** The limit of a body before its session has authenticated. */
export interface BodyLimit {
  bytes: number;
  /** Ends the session; its client is told why at its poll. */
  onTooLarge(): void;
}

/** Bytes that a body may bring without a pause before it waits for its turn. */
const UNPACED_BYTES = 16_384;

function tooLarge({ bytes }: BodyLimit): GroupcastError {
  const what = `before a connection has authenticated, its payload may have ${bytes} bytes`;
  return new GroupcastError('PAYLOAD_TOO_LARGE', `unable to read the request; ${what}`);
}

/** Answers with the error, discards the bytes that have come, and reads no more: after a usual answer Node would read the body to its end. */
function refuseUnread(request: IncomingMessage, error: GroupcastError): void {
  const { socket } = request;
  const body = JSON.stringify({ error: error.toBody() });
  const head = `HTTP/1.1 ${error.status} ${error.code}\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}`;
  socket.write(`${head}\r\nconnection: close\r\n\r\n${body}`);
  request.read();
  request.push = () => true;
  socket.pause();
  setTimeout(() => socket.destroy(), REFUSED_GRACE_MS).unref();
}

/** Refuses a request whose head announces a body above the limit. Returns whether it did. */
export function isBodyTooLarge(request: IncomingMessage, limit: BodyLimit): boolean {
  if (!(Number(request.headers['content-length']) > limit.bytes)) return false;
  refuseUnread(request, tooLarge(limit));
  limit.onTooLarge();
  return true;
}

/** Counts a body as it comes, and refuses it above the limit. A large one waits for its turns, because it is kept until it is complete. */
export function countBody(request: IncomingMessage, limit: BodyLimit, holder: Holder): void {
  // Node resumes the socket by itself as long as the request is read.
  const reader = { pause: () => void request.pause(), resume: () => void request.resume() };
  let bytes = 0;
  let kept = 0;
  let unpaced = 0;
  function onData(chunk: string | Buffer): void {
    const size = Buffer.byteLength(chunk);
    bytes += size;
    kept += size + BYTES_PER_PIECE;
    if (bytes > limit.bytes) {
      end();
      refuseUnread(request, tooLarge(limit));
      limit.onTooLarge();
      return;
    }
    unfinished.hold(holder, kept);
    unpaced += size;
    if (unpaced < UNPACED_BYTES) return;
    unpaced = 0;
    if (!request.complete) readingTurns.wait(reader);
  }
  function end(): void {
    request.off('data', onData).off('end', end).off('close', end);
    unfinished.hold(holder, 0);
    readingTurns.end(reader);
  }
  request.on('data', onData).once('end', end).once('close', end);
}
