import { type IncomingMessage, ServerResponse } from 'node:http';
import type { GroupcastError } from '@groupcast/shared';

/** Makes a response for an upgrade, for which Node has none. */
function responseOn(request: IncomingMessage): ServerResponse {
  const { socket } = request;
  const response = new ServerResponse(request);
  socket.on('error', () => undefined);
  response.assignSocket(socket);
  response.once('finish', () => socket.end());
  return response;
}

/** Answers a request to Engine.IO, or an upgrade, below Socket.IO, and closes its connection. */
export function refuseRequest(
  request: IncomingMessage,
  response: unknown,
  error: GroupcastError,
  fields: Readonly<Record<string, unknown>> = {},
): void {
  const answer = response instanceof ServerResponse ? response : responseOn(request);
  const body = JSON.stringify({ ...fields, error: error.toBody() });
  const { retryAfterMs } = error;
  answer.writeHead(error.status, {
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(body),
    ...(retryAfterMs === undefined ? {} : { 'retry-after': String(Math.ceil(retryAfterMs / 1_000)) }),
    connection: 'close',
  });
  answer.end(body);
}
