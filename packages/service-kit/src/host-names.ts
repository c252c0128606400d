import type { IncomingHttpHeaders } from 'node:http';
import { isIP } from 'node:net';

const HOST_HEADER = /^(?:\[([0-9a-f:.]+)\]|([\w.-]+))(?::\d{1,5})?$/i;
const LOOPBACK_ADDRESS = /^(?:127\.|::1$|::ffff:127\.)/i;
/** Headers that proxies add to a request: it comes from another client than the peer of the connection. */
const FORWARDING_HEADERS = [
  /^(?:forwarded|via|cdn-loop|x-forwarded)$/,
  /^(?:x-(?:forwarded|original|envoy|azure|appengine)|cf|fly|fastly)-/,
  // However a proxy spells the address that it was asked from: `client-ip`, `wl-proxy-client-ip`, `x-remote-addr`.
  /(?:^|-)(?:client|client-connection|connecting|originating|real|remote|user)-?(?:ip|addr|address)$/,
];

function isLoopbackAddress(address: string | undefined): boolean {
  return LOOPBACK_ADDRESS.test(address ?? '');
}

/** Names and addresses that lead to this machine from itself, wherever they are looked up (RFC 6761 for `*.localhost`). */
export function isLoopbackName(name: string): boolean {
  return name === 'localhost' || name.endsWith('.localhost') || (isIP(name) !== 0 && isLoopbackAddress(name));
}

/** The host of a `Host` header, in lower case, without brackets, port and final dot; `undefined` where it is malformed. */
export function hostOfHeader(header: string): string | undefined {
  const [, address, name] = HOST_HEADER.exec(header) ?? [];
  if (address !== undefined) return isIP(address) === 6 ? address.toLowerCase() : undefined;
  return name?.toLowerCase().replace(/\.$/, '') || undefined;
}

/**
 * Whether a web page may have made its own name lead here (DNS rebinding). A page's requests carry the page's host, so a request
 * for an address, for a loopback name or for one of `names` is none of those, nor is one without `Host`, which browsers always send.
 */
export function isHostTrusted(header: string | undefined, names: readonly string[] = []): boolean {
  if (header === undefined || header === '') return true;
  const host = hostOfHeader(header);
  if (host === undefined) return false;
  return isLoopbackName(host) || isIP(host) !== 0 || names.includes(host);
}

/** Whether a proxy says that it forwards the request for another client. */
export function isForwarded(headers: IncomingHttpHeaders): boolean {
  return Object.keys(headers).some((name) => FORWARDING_HEADERS.some((header) => header.test(name)));
}

/**
 * Whether a web page of another origin has sent the request. Following a link does not count: the page sees nothing of the answer.
 */
export function isFromForeignPage(method: string, headers: IncomingHttpHeaders): boolean {
  const { origin, host } = headers;
  if (origin !== undefined && (!URL.canParse(origin) || new URL(origin).host !== host?.toLowerCase())) return true;
  const site = headers['sec-fetch-site'];
  if (site === undefined || site === 'none' || site === 'same-origin') return false;
  const followsLink = headers['sec-fetch-mode'] === 'navigate' && headers['sec-fetch-dest'] === 'document';
  return !(followsLink && method === 'GET');
}
