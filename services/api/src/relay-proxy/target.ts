import { request as askHttp, type ClientRequest, Agent as HttpAgent, type IncomingMessage } from 'node:http';
import { request as askHttps, Agent as HttpsAgent } from 'node:https';
import { requestHeaders } from './forwarded-headers.ts';

/** Unused connections to the relay that are kept for the next requests, and for how long, in milliseconds. */
const MAX_FREE = 64;
const FREE_MS = 4_000;

/** Where requests are passed on to. */
export interface Target {
  /** Begins the same request there; the caller sends its body. Throws where it cannot be written. */
  ask(request: IncomingMessage): ClientRequest;
  /** Begins the same upgrade there, on a connection of its own. */
  askToUpgrade(request: IncomingMessage): ClientRequest;
  close(): void;
}

export function createTarget(relayUrl: string): Target {
  const { protocol, hostname, port, host, pathname } = new URL(relayUrl);
  const isTls = protocol === 'https:';
  const prefix = pathname.replace(/\/+$/, '');
  const keeping = { keepAlive: true, maxFreeSockets: MAX_FREE, timeout: FREE_MS };
  const agent = isTls ? new HttpsAgent(keeping) : new HttpAgent(keeping);
  const at = { host: hostname.replace(/^\[(.*)\]$/, '$1'), port: port || (isTls ? 443 : 80) };
  const begin = isTls ? askHttps : askHttp;

  function ask(request: IncomingMessage, headers: string[], by: HttpAgent | HttpsAgent | false): ClientRequest {
    const { method, url } = request;
    // An array of names and values in turns is sent as it is; the types know only objects of them.
    const raw = headers as unknown as Record<string, string>;
    return begin({ ...at, method, path: `${prefix}${url}`, headers: raw, agent: by });
  }

  return {
    ask: (request) => ask(request, requestHeaders(request, host), agent),
    askToUpgrade(request) {
      const upgrade = request.headers.upgrade ?? 'websocket';
      return ask(request, [...requestHeaders(request, host), 'Connection', 'Upgrade', 'Upgrade', upgrade], false);
    },
    close: () => agent.destroy(),
  };
}
