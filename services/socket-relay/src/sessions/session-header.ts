import { randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { RelayServer } from './session.ts';

const SESSION_HEADER = 'groupcast-session';

/** Returns the session that a request to Engine.IO names. */
export function sessionOf({ url }: IncomingMessage): string | undefined {
  return new URLSearchParams(url?.split('?')[1]).get('sid') ?? undefined;
}

/**
 * Names the session of each connection. All requests of a long-polling session must reach the relay that opened it: the answer to its first
 * request names the session in a header, and later requests name it in `sid`. So a load balancer learns where they belong, and no client
 * has to keep a cookie.
 */
export function nameSessions(io: RelayServer, makeId: (() => string) | undefined): void {
  const ids = new WeakMap<IncomingMessage, string>();
  io.engine.generateId = (request: IncomingMessage): string => {
    const id = makeId?.() ?? randomUUID();
    ids.set(request, id);
    return id;
  };
  io.engine.on('initial_headers', (headers: Record<string, string>, request: IncomingMessage) => {
    // A WebSocket has no session yet when it is answered, and needs none: it is one connection.
    const id = ids.get(request);
    if (id !== undefined) headers[SESSION_HEADER] = id;
  });
}
