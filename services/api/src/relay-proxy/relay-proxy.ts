import { type IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { pipeline } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { type Diversion, type Logger, warnOnceEvery } from '@groupcast/service-kit';
import { GroupcastError } from '@groupcast/shared';
import type { ApiMetrics } from '../metrics.ts';
import { answerHeaders } from './forwarded-headers.ts';
import { type JoinedSockets, joinSockets } from './joined-sockets.ts';
import { createTarget } from './target.ts';

/** How long the relay may take to answer an upgrade, a poll, and any other request, in milliseconds. A poll waits for a heartbeat. */
const UPGRADE_WITHIN_MS = 10_000;
const POLL_WITHIN_MS = 330_000;
const ANSWER_WITHIN_MS = 60_000;
/** When a client that was refused should come again, in milliseconds. */
const RETRY_AFTER_MS = 1_000;
/** While the API stops: the time per connection between two that are ended, so that not all come back in one moment, and a step of it. */
const END_EACH_MS = 5;
const END_STEP_MS = 50;
/** How often sockets are looked at that nobody reads, in milliseconds. */
const SWEEP_MS = 5_000;
/** A path that a server in between may resolve to another one. */
const MAY_LEAVE = /(?:^|\/)(?:\.|%2e){1,2}(?:\/|$)|[\\]|%(?:2f|5c)/i;

/**
 * Passes requests for the relay on to it, so that one URL serves both. What a client gets is what the relay has said, byte for byte, its
 * refusals too. Nothing is read into memory: neither a body, nor a message of a WebSocket, nor what a slow client leaves unread.
 */
export interface RelayProxy extends Diversion {
  /** Ends all connections, evenly over a while, and refuses new ones. */
  stop(): Promise<void>;
}

/** One request or WebSocket on its way. */
type Passed = Pick<JoinedSockets, 'end'> & Partial<JoinedSockets>;

/** A path that ends in a slash has others below it; any other stands for itself. */
function isBelow(path: string, parent: string): boolean {
  return path === parent.replace(/\/$/, '') || (parent.endsWith('/') && path.startsWith(parent));
}

/** Makes a response for an upgrade, for which Node has none. */
function responseOn(request: IncomingMessage, socket: Socket): ServerResponse {
  const response = new ServerResponse(request);
  socket.on('error', () => undefined);
  response.assignSocket(socket);
  response.shouldKeepAlive = false;
  response.once('finish', () => socket.destroySoon());
  return response;
}

function refuse(response: ServerResponse, error: GroupcastError): void {
  if (response.headersSent || response.destroyed) {
    response.destroy();
    return;
  }
  const body = JSON.stringify({ error: error.toBody() });
  response.writeHead(error.status, {
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(body),
    'retry-after': String(Math.ceil((error.retryAfterMs ?? RETRY_AFTER_MS) / 1_000)),
    connection: 'close',
  });
  response.end(body);
}

function unavailable(why: string): GroupcastError {
  return new GroupcastError('RELAY_UNAVAILABLE', `unable to reach the relay; ${why}`, { retryAfterMs: RETRY_AFTER_MS });
}

/** The answer to an upgrade as it came, in latin1, as Node reads heads. */
function headOf({ statusCode, statusMessage, rawHeaders }: IncomingMessage): Buffer {
  const lines = [`HTTP/1.1 ${statusCode} ${statusMessage}`];
  for (let at = 0; at < rawHeaders.length; at += 2) lines.push(`${rawHeaders[at]}: ${rawHeaders[at + 1]}`);
  return Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1');
}

function passAnswer(answer: IncomingMessage, response: ServerResponse): void {
  response.writeHead(answer.statusCode ?? 502, answer.statusMessage, answerHeaders(answer));
  // A client that has gone, or a relay that has: the other side is ended as well.
  pipeline(answer, response, () => undefined);
}

export function createRelayProxy(
  deps: { metrics: ApiMetrics; log: Logger; settle: (socket: Socket) => void },
  options: {
    relayUrl: string;
    paths: readonly string[];
    /** Those of them at which nobody changes to another protocol. */
    plainPaths: readonly string[];
    max: number;
    drainMs: number;
  },
): RelayProxy {
  const { metrics, log, settle } = deps;
  const { relayUrl, paths, plainPaths, max, drainMs } = options;
  const target = createTarget(relayUrl);
  const warn = warnOnceEvery(60_000);
  /** Requests and WebSockets that are passed on at this moment. */
  const open = { requests: new Set<Passed>(), sockets: new Set<Passed>() };
  let isStopping = false;
  metrics.watchRelayProxy(() => ({ requests: open.requests.size, sockets: open.sockets.size, max }));

  const sweeping = setInterval(() => {
    const now = performance.now();
    for (const { cutStalled } of open.sockets) cutStalled?.(now);
  }, SWEEP_MS).unref();

  function refusalOf(): GroupcastError | undefined {
    if (isStopping) return unavailable('this API is stopping');
    if (open.requests.size + open.sockets.size < max) return undefined;
    const why = `as many connections are passed on as may be (${max})`;
    return new GroupcastError('TOO_MANY_CONNECTIONS', `unable to connect; ${why}`, { retryAfterMs: RETRY_AFTER_MS });
  }
  function refused(response: ServerResponse, error: GroupcastError, cause?: unknown): void {
    metrics.relayProxyRefused.inc({ code: error.code });
    warn(error.code, (suppressed) => {
      log.warn(
        { code: error.code, relayUrl, err: cause, suppressed },
        `a client of the relay was refused: ${error.message}`,
      );
    });
    refuse(response, error);
  }

  /** Asks the relay the same, and refuses where it does not answer. `begun` is the request there. */
  function pass(
    response: ServerResponse,
    begin: () => ReturnType<typeof target.ask>,
    { within, among }: { within: number; among: Set<Passed> },
  ): ReturnType<typeof target.ask> | undefined {
    const refusal = refusalOf();
    if (refusal) {
      refused(response, refusal);
      return undefined;
    }
    let asked: ReturnType<typeof target.ask>;
    try {
      asked = begin();
    } catch {
      refuse(response, new GroupcastError('INVALID_PAYLOAD', 'unable to pass the request on; its head is malformed'));
      return undefined;
    }
    const late = setTimeout(() => asked.destroy(new Error(`no answer within ${within} ms`)), within);
    const passed = { end: () => void asked.destroy(new Error('this API is stopping')) };
    among.add(passed);
    const done = (): void => {
      clearTimeout(late);
      among.delete(passed);
    };
    asked.once('close', done);
    asked.once('upgrade', done);
    asked.once('response', (answer) => {
      clearTimeout(late);
      passAnswer(answer, response);
    });
    asked.on('error', (error) => {
      if (!response.destroyed && !response.headersSent)
        refused(response, unavailable(isStopping ? 'this API is stopping' : 'it does not answer'), error);
      else response.destroy();
    });
    // A client that goes has no use for the answer, and the relay learns of it.
    response.once('close', () => asked.destroy());
    return asked;
  }

  function takeOver(
    asked: ReturnType<typeof target.ask>,
    response: ServerResponse,
    socket: Socket,
    head: Buffer,
  ): void {
    const gone = (): void => void asked.destroy();
    asked.once('upgrade', (answer: IncomingMessage, wire: Socket, first: Buffer) => {
      socket.off('close', gone);
      response.detachSocket(socket);
      socket.write(headOf(answer));
      if (first.length > 0) wire.unshift(first);
      if (head.length > 0) wire.write(head);
      // The relay knows which sockets are nobody's, and closes them itself.
      settle(socket);
      const joined = joinSockets(socket, wire, () => open.sockets.delete(joined));
      open.sockets.add(joined);
    });
    socket.once('close', gone);
    asked.end();
  }

  return {
    takes({ url = '' }) {
      const path = url.split('?', 1)[0] ?? '';
      return paths.some((parent) => isBelow(path, parent)) && !MAY_LEAVE.test(path);
    },
    takesUpgrade({ url = '' }) {
      const path = url.split('?', 1)[0] ?? '';
      return !plainPaths.some((parent) => isBelow(path, parent));
    },
    request(request, response) {
      const within = request.method === 'GET' ? POLL_WITHIN_MS : ANSWER_WITHIN_MS;
      const asked = pass(response, () => target.ask(request), { within, among: open.requests });
      if (asked) request.pipe(asked);
    },
    upgrade(request, socket, head) {
      const response = responseOn(request, socket);
      const terms = { within: UPGRADE_WITHIN_MS, among: open.sockets };
      const asked = pass(response, () => target.askToUpgrade(request), terms);
      if (asked) takeOver(asked, response, socket, head);
    },
    async stop() {
      isStopping = true;
      const all = [...open.requests, ...open.sockets];
      const steps = Math.ceil(Math.min(drainMs, all.length * END_EACH_MS) / END_STEP_MS) || 1;
      const each = Math.ceil(all.length / steps);
      for (let from = 0; from < all.length; from += each) {
        if (from > 0) await delay(END_STEP_MS);
        for (const passed of all.slice(from, from + each)) passed.end();
      }
      clearInterval(sweeping);
      target.close();
    },
  };
}
