import type { ErrorCode } from '@groupcast/shared';

/** Codes with which a request for any route may be refused. */
const OF_ANY_REQUEST: readonly ErrorCode[] = [
  'INVALID_PAYLOAD',
  'REQUEST_TIMEOUT',
  'PAYLOAD_TOO_LARGE',
  'RATE_LIMITED',
  'INTERNAL',
  'API_UNAVAILABLE',
];

/** Codes of every route for users, beside its own. */
export const USER_REFUSALS: readonly ErrorCode[] = [
  'TOKEN_MISSING',
  'TOKEN_INVALID',
  'TOKEN_EXPIRED',
  // By a cookie that a page of another site has made a browser send.
  'ORIGIN_FORBIDDEN',
  ...OF_ANY_REQUEST,
];

/** Codes of every route for relays; on the internal port `INTERNAL_PORT_REFUSALS` are added. */
export const RELAY_REFUSALS: readonly ErrorCode[] = ['SERVICE_TOKEN_INVALID', 'FORBIDDEN', ...OF_ANY_REQUEST];

/** Codes of the demo's login. */
export const DEMO_REFUSALS: readonly ErrorCode[] = ['HOST_FORBIDDEN', ...OF_ANY_REQUEST];

/** Codes with which `createHostGate` refuses any request to the internal port. */
export const INTERNAL_PORT_REFUSALS: readonly ErrorCode[] = [
  'ORIGIN_FORBIDDEN',
  'HOST_FORBIDDEN',
  'SERVICE_TOKEN_INVALID',
];
