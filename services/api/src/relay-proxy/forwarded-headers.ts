import type { IncomingMessage } from 'node:http';

/** Headers about one connection, and not about the message (RFC 9110, section 7.6.1). Each side of a proxy has its own. */
const OF_A_HOP = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);
/** Headers of a request that the proxy writes itself; `expect` has been answered. */
const REWRITTEN = new Set(['host', 'x-forwarded-for', 'x-forwarded-host', 'x-forwarded-proto', 'expect']);

const NOTHING: ReadonlySet<string> = new Set();

/** Names and values in turns, as they were on the wire, without those about its connection. */
function endToEnd({ rawHeaders, headers }: IncomingMessage, without: ReadonlySet<string> = NOTHING): string[] {
  const named = new Set((headers.connection ?? '').split(',').map((name) => name.trim().toLowerCase()));
  return rawHeaders.filter((_, index) => {
    const name = rawHeaders[index - (index % 2)]?.toLowerCase() ?? '';
    // The length of a body is what the next server reads by, whatever the connection's own header says of it.
    return !OF_A_HOP.has(name) && !without.has(name) && (name === 'content-length' || !named.has(name));
  });
}

/** The headers with which a request is passed on to `host`. It says where it came from; `Origin` and tokens stay as they are. */
export function requestHeaders(request: IncomingMessage, host: string): string[] {
  const { headers, socket } = request;
  const { 'x-forwarded-for': before, 'x-forwarded-host': askedHost = headers.host } = headers;
  const from = socket.remoteAddress ?? 'unknown';
  const told: Record<string, string> = {
    Host: host,
    'X-Forwarded-For': before === undefined ? from : `${[before].flat().join(', ')}, ${from}`,
    'X-Forwarded-Proto': [headers['x-forwarded-proto'] ?? 'http'].flat().join(', '),
  };
  if (askedHost !== undefined) told['X-Forwarded-Host'] = [askedHost].flat().join(', ');
  const passedOn = [...Object.entries(told).flat(), ...endToEnd(request, REWRITTEN)];
  // A body without a frame of its own would be read as the next request.
  return headers['transfer-encoding'] === undefined ? passedOn : [...passedOn, 'Transfer-Encoding', 'chunked'];
}

export function answerHeaders(answer: IncomingMessage): string[] {
  return endToEnd(answer);
}
