import type { Environment } from './environment.ts';

/** Origins that may use a service from a browser; `'*'` allows any. */
export type Origins = readonly string[] | '*' | 'localhost';

const LOCALHOST = /^https?:\/\/(?:localhost|127\.0\.0\.1|\[::1\])(?::\d{1,5})?$/;

/** One origin as browsers spell it, or why it is none. */
function readOrigin(text: string): { origin: string } | { problem: string } {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (!url || url.origin === 'null') return { problem: 'must list origins such as https://app.example.com' };
  // It parses, and would match no browser's origin.
  if (url.host.includes('*')) return { problem: 'must list origins one by one, without patterns' };
  return { origin: url.origin };
}

/** `SOCKET_CORS_ORIGIN`, or its alias `CLIENT_URL`. In development the default is every localhost origin, in production none. */
export function readOrigins(env: Environment): Origins {
  const name = env.text('SOCKET_CORS_ORIGIN') === undefined ? 'CLIENT_URL' : 'SOCKET_CORS_ORIGIN';
  const raw = env.text(name);
  if (raw === undefined) {
    if (!env.production) return 'localhost';
    env.warning('SOCKET_CORS_ORIGIN is not set: browsers will be refused');
    return [];
  }
  if (raw === '*') {
    if (env.production)
      env.warning(`${name} is *: the page of any site may use this service; list your origins instead`);
    return '*';
  }
  return raw.split(',').map((item) => {
    const text = item.trim();
    const read = readOrigin(text);
    if ('origin' in read) return read.origin;
    env.problem(`${name} ${read.problem}, got "${text}"`);
    return 'null';
  });
}

/** No `Origin` means that the caller is not a browser, and is allowed. */
export function isOriginAllowed(origins: Origins, origin: string | undefined): boolean {
  if (origin === undefined || origins === '*') return true;
  return origins === 'localhost' ? LOCALHOST.test(origin) : origins.includes(origin);
}

/** What a browser is told by a CORS plugin; the fields are those of `cors` and of `@fastify/cors`. */
export interface CorsOptions {
  origin: '*' | RegExp | string[];
  credentials: boolean;
}

/**
 * CORS for the same origins that `isOriginAllowed` lets in, for both services. A listed origin is named in the answer, which
 * says `Vary: Origin` then, to the others too, and may send credentials. With `*` nobody may: no page of an unknown site reads an
 * answer that a cookie or a client certificate in front of us has opened. Tokens travel in headers and are not concerned.
 */
export function corsOptions(origins: Origins): CorsOptions {
  if (origins === '*') return { origin: '*', credentials: false };
  return { origin: origins === 'localhost' ? LOCALHOST : [...origins], credentials: true };
}
