/**
 * The sources to which our pages may connect, as Content-Security-Policy names them: the relay, by HTTP and by WebSocket. Its grammar has
 * no IPv6 addresses, and browsers ignore a source that has one; for such a relay its scheme is allowed. Without a URL the relay is where the
 * page is, which `'self'` allows.
 */
export function relaySources(relayPublicUrl: string | undefined): string[] {
  if (relayPublicUrl === undefined) return [];
  const { protocol, host, hostname } = new URL(relayPublicUrl);
  const schemes = protocol === 'https:' ? ['https:', 'wss:'] : ['http:', 'ws:'];
  return hostname.startsWith('[') ? schemes : schemes.map((scheme) => `${scheme}//${host}`);
}
