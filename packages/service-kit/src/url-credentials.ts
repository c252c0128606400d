/** Says what is wrong with the URL of a database, and shows nothing of it, since it may contain a password. */
export const SPLIT_CREDENTIALS = 'has a #, ? or / in its user name or password; write them as %23, %3F and %2F';
export const BARE_PERCENT = 'has a % that begins no escape; write it as %25 in a user name or password';

/** Whether a #, ? or / in a password ends the address early: the rest would be read as another host. */
export function hasSplitCredentials({ hash, pathname, searchParams }: URL): boolean {
  return hash !== '' || pathname.includes('@') || [...searchParams.keys()].some((key) => key.includes('@'));
}
