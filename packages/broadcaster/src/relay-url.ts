/** How a broadcaster reaches the relay: the words for its refusal of a wrong URL, and the protocols that it speaks. */
export interface UrlRule {
  wants: string;
  protocols: readonly string[];
}

/** The URL of a relay, for which a path prefix is all that may follow the host. Throws a `TypeError` that says what is wrong. */
export function readRelayUrl(given: unknown, { wants, protocols }: UrlRule): string {
  const url = typeof given === 'string' && URL.canParse(given) ? new URL(given) : undefined;
  if (!url || !protocols.includes(url.protocol) || url.hostname === '') {
    // Even a text that is not a URL may contain a password.
    const shown =
      typeof given === 'string' ? `"${given.replace(/^.*@/, '…@').replace(/[?#].*$/, '…')}"` : String(given);
    throw new TypeError(`${wants}, got ${shown}`);
  }
  if (url.username !== '' || url.password !== '') throw new TypeError(`${wants}, without a user name and a password`);
  if (url.search !== '' || url.hash !== '') throw new TypeError(`${wants}, without a query and a fragment`);
  return `${url.origin}${url.pathname.replace(/\/+$/, '')}`;
}
