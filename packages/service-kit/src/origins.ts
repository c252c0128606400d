import { getPublicSuffix } from 'tldts';
import type { Environment } from './environment.ts';

/**
 * Origins that may use a service from a browser, each as a browser spells it, or `https://*.example.com` for all names that have one
 * more label; `'*'` allows any.
 */
export type Origins = readonly string[] | '*' | 'localhost';

const LOCALHOST = /^https?:\/\/(?:localhost|127\.0\.0\.1|\[::1\])(?::\d{1,5})?$/;
/** How long a browser may remember the answer to a preflight, in seconds. Chromium remembers it for two hours at most. */
const PREFLIGHT_SECONDS = 600;
/** Every method of a route that a page may call. By default only those that need no preflight are allowed. */
const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'];
/** Headers of an answer that a page of another origin may read. */
const EXPOSED_HEADERS = ['retry-after'];

/** Any label of a name, as browsers spell it. */
const LABEL = '[a-z0-9_-]{1,63}';

/**
 * An application's own scheme: what a web view or an extension sends as the origin of its pages. Hosts of such schemes are compared
 * as they are written.
 */
const OWN_SCHEME = /^([a-z][a-z0-9+.-]*):\/\/([a-z0-9_-][a-z0-9._-]*)(?::(\d{1,5}))?\/?$/i;
const APP_SCHEME = /^(?:app|capacitor|ionic|tauri|vscode-webview|[a-z]+(?:-[a-z]+)*-extension)$/;
/** A scheme that an application chose for its web view serves its pages from `localhost`. These are none: their pages have other origins, or it is a slip. */
const WEB_SCHEME = /^(?:h[tps]+|wss?|ftps?|file|filesystem|data|blob|about|javascript|mailto|view-source)$/;

const EXPECTED = 'such as https://app.example.com, https://*.example.com or capacitor://localhost';
const NO_ORIGIN = 'pages without an origin (file:, a sandbox) get in with * alone';
const PATTERN =
  'may have * as a whole first label only, above a name of two labels or more, as in https://*.example.com';

const SHARED =
  'where anybody may register a name (publicsuffix.org): put your own name in between, or list your origins one by one';

/** An origin with `*` as its first label, as browsers spell what it stands for. */
function readPattern(url: URL): { origin: string } | { problem: string } {
  const [first, ...labels] = url.hostname.split('.');
  const isWhole = first === '*' && labels.length >= 2 && labels.every((label) => label !== '' && !label.includes('*'));
  if (!isWhole) return { problem: PATTERN };
  const name = labels.join('.');
  return getPublicSuffix(name, { allowPrivateDomains: true }) === name
    ? { problem: `must not have * above ${name}, ${SHARED}` }
    : { origin: url.origin };
}

function readOwnScheme(text: string): string | undefined {
  const [, scheme = '', host = '', port] = OWN_SCHEME.exec(text) ?? [];
  const name = scheme.toLowerCase();
  const isApp = APP_SCHEME.test(name) || (host === 'localhost' && !WEB_SCHEME.test(name));
  return isApp ? `${name}://${host}${port === undefined ? '' : `:${port}`}` : undefined;
}

/** One origin as browsers spell it, or the reason why it is not one. */
function readOrigin(text: string): { origin: string } | { problem: string } {
  if (text === 'null' || /^file:/i.test(text)) return { problem: `must list origins; ${NO_ORIGIN}` };
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const isWeb = url !== undefined && /^https?:$/.test(url.protocol) && url.hostname !== '';
  if (isWeb) return url.hostname.includes('*') ? readPattern(url) : { origin: url.origin };
  if (text.includes('*')) return { problem: PATTERN };
  const own = readOwnScheme(text);
  return own === undefined ? { problem: `must list origins ${EXPECTED}` } : { origin: own };
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

/** The origins that a listed one stands for: itself, or all that its `*` may be. */
function matcherOf(origin: string): string | RegExp {
  if (!origin.includes('*')) return origin;
  const parts = origin.split('*').map((part) => part.replaceAll(/[.+?^${}()|[\]\\]/g, String.raw`\$&`));
  return new RegExp(`^${parts.join(LABEL)}$`);
}

function matches(listed: string, origin: string): boolean {
  const matcher = matcherOf(listed);
  return typeof matcher === 'string' ? matcher === origin : matcher.test(origin);
}

/** No `Origin` means that the caller is not a browser, and is allowed. */
export function isOriginAllowed(origins: Origins, origin: string | undefined): boolean {
  if (origin === undefined || origins === '*') return true;
  return origins === 'localhost' ? LOCALHOST.test(origin) : origins.some((listed) => matches(listed, origin));
}

/** Whether pages of this host, by whichever port, have an origin that is listed. */
export function isHostOfOrigins(origins: Origins, host: string): boolean {
  if (typeof origins === 'string') return false;
  return origins.some((listed) => {
    const [scheme, name] = listed.split(/:\/\/|:\d+$/);
    return matches(`${scheme}://${name}`, `${scheme}://${host}`);
  });
}

/** Options of a CORS plugin; the fields are those of `cors` and of `@fastify/cors`. */
export interface CorsOptions {
  origin: '*' | RegExp | (string | RegExp)[];
  credentials: boolean;
  methods: string[];
  exposedHeaders: string[];
  maxAge: number;
}

/**
 * CORS for the same origins that `isOriginAllowed` lets in, for both services. A listed origin is named in the answer, which
 * says `Vary: Origin` then, to the others too, and may send credentials. With `*` nobody may: no page of an unknown site reads an
 * answer that a cookie or a client certificate in front of us has opened. Tokens travel in headers and are not concerned.
 */
export function corsOptions(origins: Origins): CorsOptions {
  const shared = { methods: METHODS, exposedHeaders: EXPOSED_HEADERS, maxAge: PREFLIGHT_SECONDS };
  if (origins === '*') return { origin: '*', credentials: false, ...shared };
  return { origin: origins === 'localhost' ? LOCALHOST : origins.map(matcherOf), credentials: true, ...shared };
}
