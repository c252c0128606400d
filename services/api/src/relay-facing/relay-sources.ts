/**
 * What a page of ours may connect to, as Content-Security-Policy names it: the relay, by HTTP and by WebSocket. The language has no IPv6
 * addresses, and browsers ignore what has one; such a relay is let in with its scheme.
 */
export function relaySources(relayPublicUrl: string): string[] {
  const { protocol, host, hostname } = new URL(relayPublicUrl);
  const schemes = protocol === 'https:' ? ['https:', 'wss:'] : ['http:', 'ws:'];
  return hostname.startsWith('[') ? schemes : schemes.map((scheme) => `${scheme}//${host}`);
}
