import type { ErrorCode } from '@groupcast/shared';

/** What a request may meet whichever route it is for. */
const OF_ANY_REQUEST: readonly ErrorCode[] = [
  'INVALID_PAYLOAD',
  'REQUEST_TIMEOUT',
  'PAYLOAD_TOO_LARGE',
  'RATE_LIMITED',
  'INTERNAL',
  'API_UNAVAILABLE',
];

/** What every route for users may answer beside its success. */
export const USER_REFUSALS: readonly ErrorCode[] = [
  'TOKEN_MISSING',
  'TOKEN_INVALID',
  'TOKEN_EXPIRED',
  ...OF_ANY_REQUEST,
];

/** What every route for relays may answer; on the internal port `INTERNAL_PORT_REFUSALS` as well. */
export const RELAY_REFUSALS: readonly ErrorCode[] = ['SERVICE_TOKEN_INVALID', 'FORBIDDEN', ...OF_ANY_REQUEST];

/** What the demo's login may answer. */
export const DEMO_REFUSALS: readonly ErrorCode[] = ['HOST_FORBIDDEN', ...OF_ANY_REQUEST];

/** What stands before the internal port refuses a request with, whatever it is for. */
export const INTERNAL_PORT_REFUSALS: readonly ErrorCode[] = [
  'ORIGIN_FORBIDDEN',
  'HOST_FORBIDDEN',
  'SERVICE_TOKEN_INVALID',
];
