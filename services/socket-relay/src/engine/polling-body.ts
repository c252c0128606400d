import type { IncomingMessage } from 'node:http';
import { GroupcastError } from '@groupcast/shared';
import { type Holder, readingTurns, unfinished } from './unfinished.ts';
import { BYTES_PER_PIECE, REFUSED_GRACE_MS } from './wire.ts';

/** The limit of a body before its session has authenticated. */
export interface BodyLimit {
  bytes: number;
  /** Ends the session, whose client hears why at its poll. */
  onTooLarge(): void;
}

/** A body that has brought so much without a pause waits for its turn, in bytes. Node reads 64 KiB at once. */
const UNPACED_BYTES = 16_384;

function tooLarge({ bytes }: BodyLimit): GroupcastError {
  const what = `before a connection has authenticated, its payload may have ${bytes} bytes`;
  return new GroupcastError('PAYLOAD_TOO_LARGE', `unable to read the request; ${what}`);
}

/** Says why, throws away what has come, and reads nothing more: Node would read a body to its end after an answer of its own. */
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

/** Whether a request is refused by what its head says of its body. */
export function isBodyTooLarge(request: IncomingMessage, limit: BodyLimit): boolean {
  if (!(Number(request.headers['content-length']) > limit.bytes)) return false;
  refuseUnread(request, tooLarge(limit));
  limit.onTooLarge();
  return true;
}

/** Counts a body as it comes, which is kept until it has come to its end: one that is too large is refused, and one that is large waits for its turns. */
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
