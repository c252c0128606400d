/**
 * What Socket.IO has to be told for a relay at `url`, which may be behind a path of a larger site (`https://example.com/rt`): a path
 * in the URL itself would be taken for a namespace.
 */
export function relayAddress(url: string): { origin: string; path: string } {
  const [, origin = url, prefix = ''] = /^([a-z][a-z0-9+.-]*:\/\/[^/?#]+)([^?#]*)/i.exec(url) ?? [];
  return { origin, path: `${prefix.replace(/\/+$/, '')}/socket.io/` };
}
