import type { IncomingHttpHeaders } from 'node:http';
import { GroupcastError } from '@groupcast/shared';
import { parseCookie } from 'cookie';
import type { Environment } from './environment.ts';
import { isOriginAllowed, type Origins } from './origins.ts';

/** A place of a request in which a user's token may be. `auth` is that of a Socket.IO handshake. */
export type TokenPlace = { kind: 'auth' | 'header' } | { kind: 'cookie' | 'query'; name: string };

/** Largest `Cookie` header that is parsed, in characters, and most cookies in it. */
export const MAX_COOKIE_LENGTH = 8_192;
const MAX_COOKIES = 100;
/** RFC 6265, section 4.1.1: the name of a cookie is a token of HTTP. */
const COOKIE_NAME = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,128}$/;
const QUERY_NAME = /^[A-Za-z0-9_.-]{1,64}$/;
/** Parameters that are Engine.IO's own. */
const ENGINE_NAMES: ReadonlySet<string> = new Set(['EIO', 'transport', 'sid', 't', 'j', 'b64']);
/** Methods that change nothing, so that a page of another site gains nothing by making a browser send one. */
const SAFE_METHODS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS']);

function readPlace(text: string): TokenPlace | undefined {
  if (text === 'auth' || text === 'header') return { kind: text };
  const [, kind, name = ''] = /^(cookie|query):(.*)$/.exec(text) ?? [];
  if (kind === 'cookie' && COOKIE_NAME.test(name) && name !== '__proto__') return { kind, name };
  if (kind === 'query' && QUERY_NAME.test(name) && name !== '__proto__' && !ENGINE_NAMES.has(name))
    return { kind, name };
  return undefined;
}

/** `AUTH_TOKEN_FROM`: the places in which a service looks for a user's token, in this order. `auth` is for the relay alone. */
export function readTokenPlaces(
  env: Environment,
  { service, origins }: { service: 'relay' | 'api'; origins: Origins },
): TokenPlace[] {
  const texts = (env.text('AUTH_TOKEN_FROM') ?? '').split(',').flatMap((text) => text.trim() || []);
  if (texts.length === 0) return [{ kind: service === 'relay' ? 'auth' : 'header' }];
  const places: TokenPlace[] = [];
  for (const text of new Set(texts)) {
    const place = readPlace(text);
    if (place) places.push(place);
    else env.problem(`AUTH_TOKEN_FROM must list auth, header, cookie:<name> or query:<name>, got "${text}"`);
    if (place?.kind === 'query') {
      env.warning(
        `AUTH_TOKEN_FROM lists ${text}: a token in a URL ends up in access logs and in histories; prefer auth, header or a cookie`,
      );
    }
  }
  if (origins === '*' && places.some(({ kind }) => kind === 'cookie')) {
    env.problem(
      'AUTH_TOKEN_FROM must list no cookie where SOCKET_CORS_ORIGIN is *: browsers send cookies along for the page of any site, which would act as its visitor; list your origins',
    );
  }
  if (service === 'api' && places.every(({ kind }) => kind === 'auth') && places.length > 0) {
    env.problem(
      'AUTH_TOKEN_FROM lists auth alone, which is a Socket.IO handshake: the API needs header, cookie:<name> or query:<name> too',
    );
  }
  return places;
}

/** The token of `Authorization: Bearer …`. */
export function bearerOf(authorization: string | undefined): string | undefined {
  return /^Bearer (.+)$/i.exec(authorization ?? '')?.[1];
}

/** Throws `PAYLOAD_TOO_LARGE` for more than a browser sends. It is counted before it is parsed. */
function readCookie(header: string | undefined, name: string): string | undefined {
  if (!header) return undefined;
  if (header.length > MAX_COOKIE_LENGTH || header.split(';', MAX_COOKIES + 1).length > MAX_COOKIES) {
    const most = `${MAX_COOKIE_LENGTH} characters and ${MAX_COOKIES} cookies at most`;
    throw new GroupcastError('PAYLOAD_TOO_LARGE', `unable to authenticate; the Cookie header may have ${most}`);
  }
  const cookies = parseCookie(header);
  return Object.hasOwn(cookies, name) ? cookies[name] : undefined;
}

/** The part of a request in which a token may be. */
export interface TokenCarrier {
  method?: string | undefined;
  headers: IncomingHttpHeaders;
  query: Readonly<Record<string, unknown>>;
  /** The token of the handshake's `auth`. */
  auth?: unknown;
}

function tokenAt(place: TokenPlace, { headers, query, auth }: TokenCarrier): unknown {
  switch (place.kind) {
    case 'auth':
      return auth;
    case 'header':
      return bearerOf(headers.authorization);
    case 'cookie':
      return readCookie(headers.cookie, place.name);
    case 'query':
      return Object.hasOwn(query, place.name) ? query[place.name] : undefined;
    default:
      return place satisfies never;
  }
}

/**
 * Whether a cookie may speak for the one who sends it. A browser adds cookies to what a page of any site asks (CSRF), so the page's
 * origin has to be an allowed one. Without an `Origin`, the request is no WebSocket of a browser, and none that changes something; one that
 * a page of another site has made without it says so in `Sec-Fetch-Site`.
 */
export function isCookieTrusted(origins: Origins, { method = 'GET', headers }: TokenCarrier): boolean {
  if (origins === '*') return false;
  if (headers.origin !== undefined) return isOriginAllowed(origins, headers.origin);
  const site = headers['sec-fetch-site'];
  return SAFE_METHODS.has(method) && (site === undefined || site === 'same-origin' || site === 'none');
}

/**
 * The user's token: that of the first place that has one, whether it is valid or not. Nothing else is looked at. Throws `ORIGIN_FORBIDDEN`
 * where that is a cookie which another site may have made the browser send.
 */
export function findToken(places: readonly TokenPlace[], carrier: TokenCarrier, origins: Origins): unknown {
  for (const place of places) {
    const token = tokenAt(place, carrier);
    if (token === undefined || token === null || token === '') continue;
    if (place.kind === 'cookie' && !isCookieTrusted(origins, carrier)) {
      throw new GroupcastError(
        'ORIGIN_FORBIDDEN',
        'unable to accept the cookie; a page of another site may have made the browser send it (CSRF): the Origin has to be one of SOCKET_CORS_ORIGIN',
      );
    }
    return token;
  }
  return undefined;
}

function nameOf(place: TokenPlace): string {
  switch (place.kind) {
    case 'auth':
      return 'auth: { token }';
    case 'header':
      return 'Authorization: Bearer';
    case 'cookie':
      return `the cookie ${place.name}`;
    case 'query':
      return `the query parameter ${place.name}`;
    default:
      return place satisfies never;
  }
}

/** The refusal of a caller who has no token in any of the places, which it names. */
export function tokenMissing(places: readonly TokenPlace[]): GroupcastError {
  const where = places.map(nameOf).join(', ');
  return new GroupcastError('TOKEN_MISSING', `unable to authenticate; no token was given (in ${where})`);
}
