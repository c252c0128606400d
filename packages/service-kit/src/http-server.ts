import { createServer, type RequestListener, type Server, type ServerOptions, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { GroupcastError } from '@groupcast/shared';
import { boundRequests } from './bound-requests.ts';

/** How long a connection may take for the head of a request, from its first moment on, in milliseconds. */
const HEADERS_TIMEOUT_MS = 10_000;
/** How long a request may take to arrive with its whole body. An answer may take longer: long polls and drains do. */
const REQUEST_TIMEOUT_MS = 30_000;
/** How often both are checked, in milliseconds. Node's own 30 s would be added to them. */
const CHECK_INTERVAL_MS = 1_000;
/** How long an idle connection is kept, in milliseconds: longer than load balancers do, usually 60 s, whose request would be lost on its way. */
const KEEP_ALIVE_MS = 75_000;

function toError({ code }: NodeJS.ErrnoException): GroupcastError {
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT')
    return new GroupcastError('REQUEST_TIMEOUT', 'unable to read the request; it took too long to arrive');
  if (code === 'HPE_HEADER_OVERFLOW')
    return new GroupcastError('PAYLOAD_TOO_LARGE', 'unable to read the request; its headers are too large');
  return new GroupcastError('INVALID_PAYLOAD', 'unable to read the request; it is not HTTP');
}

/** Whether an answer has begun on a connection: another one would be read as its continuation. Node has no public name for it. */
function isAnswering(socket: Socket): boolean {
  return (socket as { _httpMessage?: ServerResponse | null })._httpMessage?.headersSent === true;
}

/** Answers why, where an answer is still possible, and closes: a request that cannot be read has no handler. */
export function answerClientError(error: NodeJS.ErrnoException, socket: Socket): void {
  if (error.code !== 'ECONNRESET' && socket.writable && !isAnswering(socket)) {
    const known = toError(error);
    const body = JSON.stringify({ error: known.toBody() });
    const head = [
      `HTTP/1.1 ${known.status} ${known.code}`,
      'content-type: application/json',
      `content-length: ${Buffer.byteLength(body)}`,
      'connection: close',
    ];
    socket.write(`${head.join('\r\n')}\r\n\r\n${body}`);
  }
  socket.destroy();
}

/** Creates Node's HTTP server with bounds: no request takes forever to arrive, and no connection sends thousands at once. */
export function createBoundedServer(options: ServerOptions, listener?: RequestListener): Server {
  const bounds = {
    headersTimeout: HEADERS_TIMEOUT_MS,
    requestTimeout: REQUEST_TIMEOUT_MS,
    connectionsCheckingInterval: CHECK_INTERVAL_MS,
    keepAliveTimeout: KEEP_ALIVE_MS,
  };
  const server = createServer({ ...bounds, ...options }, listener);
  boundRequests(server);
  server.on('clientError', (error, socket) => answerClientError(error, socket as Socket));
  return server;
}
