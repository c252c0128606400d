import { randomUUID } from 'node:crypto';
import { rmSync } from 'node:fs';
import { Agent, type IncomingMessage, request, type Server, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import {
  CONNECTION_ARRIVED,
  type ConnectionLimit,
  createBoundedServer,
  ignoreUpgrades,
  type Listening,
  type Logger,
  listenOn,
  readLittleOf,
} from '@groupcast/service-kit';
import { GroupcastError } from '@groupcast/shared';

/** An upgrade on its way to the worker that has the session: the request as it was on the wire, without the socket, which travels beside it. */
export interface HandedOver {
  to: number;
  head: Uint8Array;
}

export interface SessionRouter {
  /** Opens the shared port. Rejects if it is taken. */
  listen(at: { host: string; port: number }): Promise<Listening>;
  /** Takes an upgrade that another worker received. */
  take(handed: HandedOver, socket: Socket): void;
  /** Accepts no more connections; resolves when the open ones are gone, after a moment at the latest. */
  close(): Promise<void>;
}

/** Hop-by-hop headers, which are about one connection, and not about the message. */
const OF_A_HOP = new Set(['connection', 'keep-alive']);
const CLOSE_ALL_AFTER_MS = 1_000;
const SESSION = /^\/socket\.io\/?\?(?:[^#]*&)?sid=(\d{1,3})\./;

/**
 * Stops reading from the socket in this process. A socket that is sent to another process stays open here until it has arrived, and would
 * go on reading: whatever its client says in that moment would be lost. Node has no public name for it (`pauseOnConnect` does the same).
 */
export function stopReading(socket: Duplex): void {
  (socket as { _handle?: { readStop?: () => void } })._handle?.readStop?.();
}

/** Makes the id of a session, which says which worker has it, so that nobody needs a table. Node draws the randomness of many UUIDs at once. */
export function makeSessionId(worker: number): string {
  return `${worker}.${randomUUID()}`;
}

/** Returns the worker that has the session which a request names. */
function workerOf(url: string | undefined): number | undefined {
  const digits = SESSION.exec(url ?? '')?.[1];
  return digits === undefined ? undefined : Number(digits);
}

function withoutHop(rawHeaders: readonly string[]): string[] {
  return rawHeaders.filter((_, index) => !OF_A_HOP.has(rawHeaders[index - (index % 2)]?.toLowerCase() ?? ''));
}

function asOnTheWire({ method, url, rawHeaders }: IncomingMessage, rest: Buffer): Buffer {
  const lines = [`${method} ${url} HTTP/1.1`];
  for (let index = 0; index < rawHeaders.length; index += 2)
    lines.push(`${rawHeaders[index]}: ${rawHeaders[index + 1]}`);
  return Buffer.concat([Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1'), rest]);
}

/** Listens on the worker's own socket, which no other worker shares; the port is shared by all workers. */
async function listenAtPath(server: Server, path: string): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject).listen({ path, exclusive: true }, () => {
      server.off('error', reject);
      resolve();
    });
  });
}

/** Refuses a request because the connection that would bring it to its worker would be one too many. */
function refuse(outgoing: ServerResponse): void {
  const error = new GroupcastError(
    'TOO_MANY_CONNECTIONS',
    'unable to serve the request; this relay has as many connections as it may have',
  );
  outgoing.writeHead(error.status, { 'content-type': 'application/json', connection: 'close' });
  outgoing.end(JSON.stringify({ error: error.toBody() }));
}

/**
 * The public port of one worker of several. Connections come to any of them, and one connection may carry requests of many sessions, as it
 * does behind a proxy. So each request is brought to its session: an upgrade goes there with its socket, once; a polling request is
 * forwarded, over a socket in `folder` that nobody else can reach.
 */
export function createSessionRouter(deps: {
  /** Has Socket.IO attached. The requests that it is given are for this worker. */
  http: Server;
  /** The connections that this process may have. Forwarding a request takes one, here and at its worker. */
  limit: ConnectionLimit;
  /** Upgrades that are read as plain requests. */
  isPlain?: ((request: IncomingMessage) => boolean) | undefined;
  worker: number;
  folder: string;
  handOver: (handed: HandedOver, socket: Socket, failed: () => void) => void;
  log: Logger;
}): SessionRouter {
  const { http, limit, isPlain, worker, folder, log } = deps;
  const pathOf = (index: number): string => join(folder, `${index}.sock`);
  const agent = new Agent({ keepAlive: true });
  const front = createBoundedServer({});
  limit.guard(front);
  readLittleOf(front);
  if (isPlain) ignoreUpgrades(front, isPlain, limit);
  /** Node counts a socket that was handed over as open for ever, so `close` cannot go by its count. */
  const open = new Set<Duplex>();
  let onEmpty: () => void = () => undefined;
  // Only siblings connect to it, and they keep their connections; one that closes just as it is used would cost a session.
  http.keepAliveTimeout = 0;

  function forget(socket: Duplex): void {
    open.delete(socket);
    if (open.size === 0) onEmpty();
  }

  http.on(CONNECTION_ARRIVED, (socket: Socket) => {
    // The connection of a sibling speaks for many. One that was handed over is there already.
    if (!limit.sockets.has(socket) && limit.admit(socket)) limit.settle(socket);
  });
  front.on('connection', (socket) => {
    // An upgrade that is ignored makes it enter once more.
    if (open.has(socket)) return;
    open.add(socket);
    socket.once('close', () => forget(socket));
  });
  front.on('request', (incoming, outgoing) => {
    const owner = workerOf(incoming.url);
    if (owner === undefined || owner === worker) {
      http.emit('request', incoming, outgoing);
      return;
    }
    const isConnected = (agent.freeSockets[agent.getName({ socketPath: pathOf(owner) })]?.length ?? 0) > 0;
    if (!isConnected && !limit.makeRoom()) {
      refuse(outgoing);
      return;
    }
    const { method, url, rawHeaders } = incoming;
    const forwarded = request({ agent, socketPath: pathOf(owner), method, path: url, headers: withoutHop(rawHeaders) });
    forwarded.once('socket', (socket) => {
      if (!limit.sockets.has(socket) && limit.admit(socket)) limit.settle(socket);
    });
    forwarded.on('response', (answer) => {
      outgoing.writeHead(answer.statusCode ?? 502, answer.statusMessage, withoutHop(answer.rawHeaders));
      answer.pipe(outgoing);
      answer.once('error', () => outgoing.destroy());
    });
    forwarded.once('error', (error) => {
      log.debug({ err: error, owner }, 'unable to reach the worker of a session');
      if (outgoing.headersSent || outgoing.destroyed) outgoing.destroy();
      // Its worker is gone, and the session with it: nobody knows the session here either, and the client is told so.
      else http.emit('request', incoming, outgoing);
    });
    outgoing.once('close', () => forwarded.destroy());
    incoming.pipe(forwarded);
  });
  front.on('upgrade', (incoming: IncomingMessage, socket: Duplex, rest: Buffer) => {
    const owner = workerOf(incoming.url);
    if (owner === undefined || owner === worker) {
      http.emit('upgrade', incoming, socket, rest);
      return;
    }
    forget(socket);
    limit.release(socket as Socket);
    stopReading(socket);
    deps.handOver({ to: owner, head: asOnTheWire(incoming, rest) }, socket as Socket, () => socket.destroy());
  });

  return {
    async listen(at) {
      // A worker that was killed leaves its socket behind.
      rmSync(pathOf(worker), { force: true });
      await listenAtPath(http, pathOf(worker));
      return listenOn(front, at);
    },
    take({ head }, socket) {
      socket.on('error', () => undefined);
      if (!limit.admit(socket)) return;
      http.emit('connection', socket);
      socket.unshift(head);
      socket.resume();
    },
    async close() {
      agent.destroy();
      let timer: NodeJS.Timeout | undefined;
      await new Promise<void>((resolve) => {
        onEmpty = resolve;
        timer = setTimeout(resolve, CLOSE_ALL_AFTER_MS);
        front.close();
        front.closeIdleConnections();
        if (open.size === 0) resolve();
      });
      clearTimeout(timer);
      front.closeAllConnections();
    },
  };
}
