import { createPublisher, type Publisher } from './publisher.ts';
import { type ConnectionState, createRelayConnection } from './relay-connection.ts';
import { readRelayUrl, type UrlRule } from './relay-url.ts';
import { createServiceTokenSigner } from './service-token.ts';

const URL_RULE: UrlRule = {
  wants: `createBroadcaster needs url, the relay's public URL such as http://localhost:3001`,
  protocols: ['http:', 'https:', 'ws:', 'wss:'],
};

export interface BroadcasterOptions {
  /** The relay's public URL, such as `http://localhost:3001`; behind a path of a larger site, with that path. */
  url: string;
  /** `RELAY_SERVICE_SECRET`: short service tokens of scope `broadcast` are signed with it. */
  serviceSecret?: string | undefined;
  /** Instead of the secret: returns a service token with scope `broadcast`; asked on every connect and refresh. */
  tokenProvider?: (() => Promise<string> | string) | undefined;
  /** How this back end is called in the relay's logs. Default `broadcaster`. */
  name?: string | undefined;
  /** How long one call may take, reconnecting included, in milliseconds. Default 10,000. `withinMs` of those who are expected comes on top. */
  timeoutMs?: number | undefined;
  /** Most calls waiting for an acknowledgement; further ones are rejected at once. Default 10,000. */
  maxPending?: number | undefined;
  /** Called on every change of the connection; `refused` carries the relay's reason. */
  onStateChange?: ((state: ConnectionState) => void) | undefined;
}

/**
 * Sends to the relay over one connection. Calls leave in the order they were made, and those without an answer are
 * sent again, in that order, after a reconnect: each carries an id, so the relay drops the second copy.
 *
 * Every method rejects with a `GroupcastError` whose `retryable` says whether the same call may succeed later:
 * `RELAY_UNAVAILABLE` when no answer came in time, otherwise the relay's own code. While the relay refuses the service token, that is the
 * answer to every call, at once; the connection is tried again all the same.
 */
export interface Broadcaster extends Publisher {
  readonly connected: boolean;
}

export function createBroadcaster(options: BroadcasterOptions): Broadcaster {
  const { serviceSecret, tokenProvider, name = 'broadcaster', timeoutMs = 10_000 } = options;
  if (!serviceSecret && !tokenProvider) throw new TypeError('createBroadcaster needs serviceSecret or tokenProvider');
  const sign = createServiceTokenSigner(serviceSecret ?? '', name);

  const connection = createRelayConnection({
    url: readRelayUrl(options.url, URL_RULE),
    getToken: tokenProvider ?? (async () => sign(['broadcast'])),
    // A secret makes the same token again; a provider may have returned one that has expired since.
    maxRefusals: tokenProvider ? 2 : 1,
    maxPending: options.maxPending ?? 10_000,
    onStateChange: options.onStateChange ?? (() => undefined),
  });

  return {
    ...createPublisher(connection, { timeoutMs }),
    get connected() {
      return connection.connected;
    },
  };
}
