import type { IncomingMessage, Server } from 'node:http';
import { GroupcastError } from '@groupcast/shared';
import { explainToOldClient } from '../engine/old-protocol.ts';
import { refuseRequest } from '../engine/refuse-request.ts';
import type { RelayMetrics } from '../metrics/relay-metrics.ts';
import type { Notices } from '../monitor/notices.ts';
import type { RelayServer } from '../sessions/session.ts';

const PATH = '/socket.io/';
/** Engine.IO's protocol of socket.io-client 3 and 4. */
const PROTOCOL = '4';
/** Engine.IO's own code for the refusal, which clients of the old protocol may read. */
const UNSUPPORTED_PROTOCOL_VERSION = 5;
const UNKNOWN_SID = 1;
const MAX_SHOWN = 64;

/** The reason why Engine.IO refuses a request, in its own words. */
interface EngineRefusal {
  req: IncomingMessage;
  code?: number;
  context?: { name?: string };
}

interface Stranger {
  code: 'UNSUPPORTED_PROTOCOL' | 'NOT_FOUND' | 'UNKNOWN_SESSION';
  /** Tells it from others of its kind. */
  name: string;
  why: string;
}

const OF_ANOTHER_RELAY: Stranger = {
  code: 'UNKNOWN_SESSION',
  name: 'unknown session',
  why: 'Session ID unknown: after a restart of the relay that is as it should be; if it lasts, the balancer in front is not sticky: let it send each client to one relay',
};

function partsOf({ url = '' }: IncomingMessage): { path: string; query: URLSearchParams } {
  const [path = '', query = ''] = url.split('?', 2);
  return { path, query: new URLSearchParams(query) };
}

function shown(text: string): string {
  return text.slice(0, MAX_SHOWN).replaceAll(/[^\x20-\x7e]/g, '?');
}

/** The advice to a WebSocket that speaks no Socket.IO. */
function rawAdvice(wsPath: string | undefined): string {
  return wsPath === undefined
    ? 'or set RELAY_WS_PATH, the path at which the relay takes one'
    : `or connect to ${wsPath}, where the relay takes one`;
}

/** Explains a request to `/socket.io/` that opens no session. */
function ofAnotherProtocol(request: IncomingMessage, wsPath: string | undefined): Stranger | undefined {
  const { query } = partsOf(request);
  const version = query.get('EIO');
  if (version === PROTOCOL || query.has('sid')) return undefined;
  const code = 'UNSUPPORTED_PROTOCOL';
  if (version !== null || query.has('transport') || query.has('t')) {
    const eio = version === null ? 'no EIO' : `EIO=${shown(version)}`;
    const why = `it speaks another protocol (${eio}): use socket.io-client 4 (or 3), or a library for Socket.IO's protocol 5; 1.x and 2.x speak EIO=3`;
    return { code, name: eio, why };
  }
  const isUpgrade = request.headers.upgrade !== undefined;
  const what = isUpgrade ? 'a plain WebSocket' : 'a plain request';
  const why = `it is ${what}, and speaks no Socket.IO: use socket.io-client${isUpgrade ? `, ${rawAdvice(wsPath)}` : '; for probes there is /livez'}`;
  return { code, name: what, why };
}

/** Explains a request to another path whose sender looks for the relay. */
function atAnotherPath(request: IncomingMessage, wsPath: string | undefined): Stranger | undefined {
  const { path, query } = partsOf(request);
  const isUpgrade = request.headers.upgrade !== undefined;
  if (!isUpgrade && !query.has('EIO') && !/socket\.?io/i.test(path)) return undefined;
  const prefix = path.endsWith(PATH) ? path.slice(0, -PATH.length) : '';
  const advice = prefix
    ? `the proxy in front has to take "${shown(prefix)}" off the path`
    : query.has('EIO')
      ? `leave the client's option path alone, or set it to ${PATH}`
      : `use socket.io-client: a plain WebSocket speaks no Socket.IO; ${rawAdvice(wsPath)}`;
  return {
    code: 'NOT_FOUND',
    name: shown(path),
    why: `there is nothing at "${shown(path)}", the relay is at ${PATH}; ${advice}`,
  };
}

/** Tells clients of other protocols, and of other paths, why they cannot connect: in the answer, in the log and in the monitor. */
export interface Strangers {
  /** Looks at a request for which the public port has no answer. */
  note(request: IncomingMessage): void;
  /** Looks at each request and upgrade when it is its turn (`createTurns` of service-kit): strangers who come in a crowd wait for each other. */
  watch(io: RelayServer, http: Server): void;
}

export function createStrangers(
  deps: { notices: Notices; metrics: RelayMetrics },
  { wsPath }: { wsPath?: string | undefined } = {},
): Strangers {
  const { notices, metrics } = deps;

  function say({ code, name, why }: Stranger, { socket, headers }: IncomingMessage): string {
    metrics.refused.inc({ code });
    const client = headers['user-agent'] === undefined ? '' : ` (user agent: ${shown(headers['user-agent'])})`;
    const message = `unable to connect; ${why}`;
    notices({
      topic: code,
      name,
      code,
      message: `connection refused: ${message}${client}`,
      address: socket.remoteAddress,
    });
    return message;
  }

  return {
    note(request) {
      const stranger = atAnotherPath(request, wsPath);
      if (stranger) say(stranger, request);
    },
    watch(io, http) {
      io.engine.use((request: IncomingMessage, response: unknown, next: () => void) => {
        const stranger = request.url?.includes('EIO=4') ? undefined : ofAnotherProtocol(request, wsPath);
        if (!stranger) {
          next();
          return;
        }
        const error = new GroupcastError('UNSUPPORTED_PROTOCOL', say(stranger, request));
        if (explainToOldClient(request, response, error.message)) return;
        refuseRequest(request, response, error, { code: UNSUPPORTED_PROTOCOL_VERSION, message: error.message });
      });
      io.engine.on('connection_error', ({ req, code, context }: EngineRefusal) => {
        if (code === UNKNOWN_SID) say(OF_ANOTHER_RELAY, req);
        if (context?.name !== 'TRANSPORT_HANDSHAKE_ERROR') return;
        const why =
          'a WebSocket came as a plain request: a proxy in front has to pass the headers Upgrade and Connection on';
        say({ code: 'UNSUPPORTED_PROTOCOL', name: 'no upgrade', why }, req);
      });
      http.on('upgrade', (request: IncomingMessage, socket) => {
        if (request.url?.startsWith(PATH) || socket.destroyed) return;
        const stranger = atAnotherPath(request, wsPath);
        if (stranger) refuseRequest(request, undefined, new GroupcastError('NOT_FOUND', say(stranger, request)));
      });
    },
  };
}
