import { BARE_PERCENT, hasSplitCredentials, SPLIT_CREDENTIALS } from '@groupcast/service-kit';
import type pg from 'pg';
import { parse } from 'pg-connection-string';
import { codeOf } from './database-errors.ts';

/** What is wrong with the URL of a server, in words that show nothing of it: it may hold a password. */
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
 * What the URL says, certificates included. They are read anew for each connection, since somebody may have replaced them; while one
 * cannot be read, the one before stays. Throws only the first time.
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
