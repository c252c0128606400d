import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

/** Pieces of any size in which a body of a known length may come. Each is a packet of its own on the network. */
const FREE_PIECES = 256;
/** The same of a body in chunks, of which one packet brings hundreds: they are objects of the C library, which keeps their memory. */
const FREE_CHUNKS = 32;
/** Bytes that a piece must have on average once there are more. */
const MIN_PIECE_BYTES = 256;

/** Node's HTTP parser of a connection has no public name; without it, what was read already is taken apart to its end. */
type Parser = { incoming?: unknown; constructor: { kOnBody?: number } } & Record<number, unknown>;
type ParsedSocket = Socket & { parser?: Parser | null };

/** Bytes that were read already are still parsed, without callbacks. Node reuses parsers, so this one is restored after the turn. */
function ignoreBody(parser: Parser): void {
  parser.incoming = null;
  const { kOnBody } = parser.constructor;
  if (kOnBody === undefined) return;
  const onBody = parser[kOnBody];
  parser[kOnBody] = null;
  setImmediate(() => {
    parser[kOnBody] = onBody;
  });
}

/**
 * Cuts connections whose bodies come in tiny pieces. A body is bounded in bytes, but each piece is an object and a call: chunks of one byte
 * cost thirty times their size, and as a string that is put together from them the same again.
 */
export function cutTinyPieces(request: IncomingMessage, response: ServerResponse): void {
  const { 'content-length': length, 'transfer-encoding': encoding } = request.headers;
  if (encoding === undefined && (length === undefined || Number(length) <= FREE_PIECES)) return;
  const { socket } = request;
  const free = encoding === undefined ? FREE_PIECES : FREE_CHUNKS;
  let pieces = 0;
  let bytes = 0;
  const push = request.push.bind(request);
  request.push = (piece: Buffer | null, ...rest) => {
    if (piece === null) return push(piece, ...rest);
    pieces += 1;
    bytes += piece.length;
    if (pieces <= free || bytes >= pieces * MIN_PIECE_BYTES) return push(piece, ...rest);
    const { parser } = socket as ParsedSocket;
    if (parser) ignoreBody(parser);
    socket.destroy();
    return false;
  };
  // The rest of a request would be read and thrown away after its answer, chunk by chunk, for as long as a request may take.
  if (encoding !== undefined) {
    response.once('finish', () => {
      if (!request.complete) socket.destroySoon();
    });
  }
}
