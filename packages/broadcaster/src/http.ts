import { createHttpTransport, type Fetch } from './http-transport.ts';
import { createPublisher, type Publisher } from './publisher.ts';
import { readRelayUrl, type UrlRule } from './relay-url.ts';
import { createServiceTokenSigner } from './service-token.ts';

export { type ErrorCode, GroupcastError } from '@groupcast/shared/publisher';
export type { HttpAnswer } from './http-answer.ts';
export type { Fetch } from './http-transport.ts';
export type { BatchItemResult, Publisher } from './publisher.ts';

const URL_RULE: UrlRule = {
  wants: `createHttpBroadcaster needs url, where the relay's broadcast API is, such as http://localhost:3002`,
  protocols: ['http:', 'https:'],
};
/** Longest time that a timer takes, in milliseconds, less the longest `withinMs`. */
const MAX_TIMEOUT_MS = 2_147_483_647 - 30_000;

export interface HttpBroadcasterOptions {
  /**
   * The relay's internal port, such as `http://localhost:3002`, or its public URL where it serves the broadcast API there; behind a path of
   * a larger site, with that path.
   */
  url: string;
  /** `RELAY_SERVICE_SECRET`: a short service token is signed with it for each call. */
  serviceSecret?: string | undefined;
  /** Instead of the secret: returns a service token with scope `broadcast` (and `monitor`, for `getTrace`); asked for each call. */
  tokenProvider?: (() => Promise<string> | string) | undefined;
  /** Default: the `fetch` of the runtime. */
  fetch?: Fetch | undefined;
  /** How this back end is called in the relay's logs. Default `broadcaster`. */
  name?: string | undefined;
  /** How long one call may take, in milliseconds. Default 10,000. `withinMs` of those who are expected comes on top. */
  timeoutMs?: number | undefined;
  /** Most calls without an answer; further ones are rejected at once. Default 1,000. */
  maxPending?: number | undefined;
}

/**
 * Sends each call as one request, and keeps no connection: for functions that end, and for edge runtimes. It needs `fetch`, Web Crypto and
 * `AbortSignal`, and nothing of Node.
 *
 * Methods and errors are those of `createBroadcaster`. Two things it cannot promise: calls that are made at once have no order, and a call
 * is not sent again. One that failed with `retryable` may be made again; with the same `id` the relay recognises it.
 */
export interface HttpBroadcaster extends Publisher {}

export function createHttpBroadcaster(options: HttpBroadcasterOptions): HttpBroadcaster {
  const { serviceSecret, tokenProvider, name = 'broadcaster', timeoutMs = 10_000 } = options;
  if (!serviceSecret && !tokenProvider) {
    throw new TypeError('createHttpBroadcaster needs serviceSecret or tokenProvider');
  }
  if (!(Number.isSafeInteger(timeoutMs) && timeoutMs > 0 && timeoutMs <= MAX_TIMEOUT_MS)) {
    throw new TypeError(`createHttpBroadcaster needs timeoutMs from 1 to ${MAX_TIMEOUT_MS}, got ${timeoutMs}`);
  }
  const sign = createServiceTokenSigner(serviceSecret ?? '', name);
  const transport = createHttpTransport({
    url: readRelayUrl(options.url, URL_RULE),
    getToken:
      tokenProvider ?? (async (call) => sign(call === 'api-get-trace' ? ['broadcast', 'monitor'] : ['broadcast'])),
    // Looked up for each call: tests and frameworks replace it. Called without an object, which some runtimes refuse.
    fetch: options.fetch ?? (async (url, init) => fetch(url, init)),
    maxPending: options.maxPending ?? 1_000,
  });
  return createPublisher(transport, { timeoutMs });
}
