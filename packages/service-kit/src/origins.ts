import type { Environment } from './environment.ts';

/** Origins that may use a service from a browser; `'*'` allows any. */
export type Origins = readonly string[] | '*' | 'localhost';

const LOCALHOST = /^https?:\/\/(?:localhost|127\.0\.0\.1|\[::1\])(?::\d{1,5})?$/;

/** `SOCKET_CORS_ORIGIN`, or its alias `CLIENT_URL`. In development the default is every localhost origin, in production none. */
export function readOrigins(env: Environment): Origins {
  const name = env.text('SOCKET_CORS_ORIGIN') === undefined ? 'CLIENT_URL' : 'SOCKET_CORS_ORIGIN';
  const raw = env.text(name);
  if (raw === undefined) return env.production ? [] : 'localhost';
  if (raw === '*') return '*';
  return raw.split(',').map((item) => {
    const text = item.trim();
    const origin = URL.canParse(text) ? new URL(text).origin : 'null';
    if (origin === 'null') env.problem(`${name} must list origins such as https://app.example.com, got "${text}"`);
    return origin;
  });
}

/** No `Origin` means that the caller is not a browser, and is allowed. */
export function isOriginAllowed(origins: Origins, origin: string | undefined): boolean {
  if (origin === undefined || origins === '*') return true;
  return origins === 'localhost' ? LOCALHOST.test(origin) : origins.includes(origin);
}
