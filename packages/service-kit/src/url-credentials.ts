/** What is wrong with the URL of a database, in words that show nothing of it: it may hold a password. */
export const SPLIT_CREDENTIALS = 'has a #, ? or / in its user name or password; write them as %23, %3F and %2F';
export const BARE_PERCENT = 'has a % that begins no escape; write it as %25 in a user name or password';

/** A password with one of #, ? and / in it ends the address where it stands, and the rest would be looked for at another host. */
export function hasSplitCredentials({ hash, pathname, searchParams }: URL): boolean {
  return hash !== '' || pathname.includes('@') || [...searchParams.keys()].some((key) => key.includes('@'));
}
