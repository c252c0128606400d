import { createHash } from 'node:crypto';
import { type IncomingMessage, ServerResponse } from 'node:http';

/** Engine.IO's protocol of socket.io-client 1.x and 2.x. */
const OLD = '3';
/** Fixed by RFC 6455, section 1.3. */
const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';
/** A WebSocket frame: text, or an end without a reason, in one piece and not masked. */
const TEXT = 0x81;
const CLOSE = Buffer.from([0x88, 0x02, 0x03, 0xe8]);

/** The packets of a session that ends as soon as it has begun: it opens, says `message` as an error of Socket.IO, and closes. */
function packetsOf(message: string): string[] {
  const opened = { sid: 'refused', upgrades: [], pingInterval: 25_000, pingTimeout: 20_000 };
  return [`0${JSON.stringify(opened)}`, `44${JSON.stringify(message)}`];
}

function frameOf(text: string): Buffer {
  const data = Buffer.from(text);
  const head = Buffer.from([TEXT, 126, data.length >> 8, data.length & 0xff]);
  // The shorter of two spellings has to be taken.
  return Buffer.concat([data.length < 126 ? Buffer.from([TEXT, data.length]) : head, data]);
}

/**
 * Says a sentence of ASCII to an old client in words that it understands. It would show nothing of a refusal with a status: it reads no
 * body, and its `connect_error` is "xhr poll error". So it gets a session in its own protocol, in which its `error` has the sentence.
 * Answers false for a request that asks for no such session.
 */
export function explainToOldClient(request: IncomingMessage, response: unknown, message: string): boolean {
  const query = new URLSearchParams(request.url?.split('?')[1]);
  if (query.get('EIO') !== OLD || query.has('sid') || query.has('j') || request.method !== 'GET') return false;
  const transport = query.get('transport');
  if (transport === 'polling' && response instanceof ServerResponse) {
    const body = [...packetsOf(message), '1'].map((packet) => `${packet.length}:${packet}`).join('');
    response.writeHead(200, {
      'content-type': 'text/plain; charset=UTF-8',
      'content-length': Buffer.byteLength(body),
      connection: 'close',
    });
    response.end(body);
    return true;
  }
  const key = request.headers['sec-websocket-key'];
  if (transport !== 'websocket' || response instanceof ServerResponse || key === undefined) return false;
  const accept = createHash('sha1').update(`${key}${GUID}`).digest('base64');
  const head = `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}`;
  const { socket } = request;
  socket.on('error', () => undefined);
  socket.write(Buffer.concat([Buffer.from(`${head}\r\n\r\n`), ...packetsOf(message).map(frameOf), CLOSE]));
  socket.destroySoon();
  return true;
}
