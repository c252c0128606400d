import { BARE_PERCENT, hasSplitCredentials, SPLIT_CREDENTIALS } from '@groupcast/service-kit';
import type pg from 'pg';
import { parse } from 'pg-connection-string';
import { codeOf } from './database-errors.ts';

/** Says what is wrong with the URL of a server, and shows nothing of it, since it may contain a password. */
export function problemOfPostgresUrl(text: string): string | undefined {
  if (!URL.canParse(text) || hasSplitCredentials(new URL(text))) {
    return text.includes('@') ? SPLIT_CREDENTIALS : 'must be a URL such as postgres://user:password@host:5432/database';
  }
  try {
    parse(text);
    return undefined;
  } catch (error) {
    // The driver takes a % that cannot begin an escape for what it is; one that could is part of no text.
    if (error instanceof URIError) return BARE_PERCENT;
    const code = codeOf(error);
    return code === '' ? 'has parameters that the driver refuses' : `names a file that cannot be read (${code})`;
  }
}

/**
 * Reads the URL's settings, certificates included, anew for each connection, since certificates may have been replaced. While one cannot be
 * read, the previous one is used. Throws only the first time.
 */
export function createSettingsReader(url: string): () => pg.ClientConfig {
  // It takes what its own parser gives, a port as text included.
  const read = (): pg.ClientConfig => parse(url) as object;
  let last = read();
  return () => {
    try {
      last = read();
    } catch {
      // It is being replaced.
    }
    return last;
  };
}
