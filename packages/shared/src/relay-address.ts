/**
 * Splits the URL of a relay, which may be behind a path of a larger site (`https://example.com/rt`), for Socket.IO, which would take a
 * path in the URL for a namespace.
 */
export function relayAddress(url: string): { origin: string; path: string } {
  const [, origin = url, prefix = ''] = /^([a-z][a-z0-9+.-]*:\/\/[^/?#]+)([^?#]*)/i.exec(url) ?? [];
  return { origin, path: `${prefix.replace(/\/+$/, '')}/socket.io/` };
}
