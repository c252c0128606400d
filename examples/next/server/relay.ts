import 'server-only';
import { type Broadcaster, createBroadcaster } from '@groupcast/broadcaster';
import { configuration } from './configuration';

const server = globalThis as typeof globalThis & { groupcastRelay?: Broadcaster };

/** One connection to the relay for the whole server. Kept where a module that is loaded again (hot reload, another route) finds it. */
export function relay(): Broadcaster {
  server.groupcastRelay ??= createBroadcaster({
    url: configuration.relayUrl,
    serviceSecret: configuration.serviceSecret,
    name: 'next-example',
    timeoutMs: 5_000,
  });
  return server.groupcastRelay;
}
