import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { bearerOf, findToken, isCookieTrusted, type Origins, type TokenPlace } from '@groupcast/service-kit';
import { GroupcastError } from '@groupcast/shared';
import type { Socket as EngineSocket } from 'engine.io';
import { ImpliedAuth } from '../engine/raw-decoder.ts';
import { isRaw, PLAIN_VOICE, type RawVoice } from '../engine/raw-frames.ts';
import { RawTransport } from '../engine/raw-transport.ts';
import { replaceTransport } from '../engine/replace-transport.ts';
import type { RelayServer } from '../sessions/session.ts';
import { hasUnlistedToken } from './authenticate.ts';

/** Subprotocols (RFC 6455, section 1.9): that of this door, and the one that carries a token behind this prefix. */
const SUBPROTOCOL = 'groupcast';
const BEARER = 'groupcast.bearer.';
/** Parameters of a URL that are Engine.IO's own. */
const ENGINE_NAMES = ['EIO', 'transport', 'sid', 't', 'j', 'b64'];
const ENGINE_PATH = '/socket.io/';

type Request = ConstructorParameters<typeof RawTransport>[0];
/** The part of Engine.IO's server that is used here; Socket.IO gives it no type. */
interface Engine {
  on(event: 'connection', listener: (conn: EngineSocket) => void): void;
}

export interface RawDoorOptions {
  path: string;
  tokenPlaces: readonly TokenPlace[];
  origins: Origins;
  authBy: 'token' | 'back-end';
}

export function pathOf({ url = '' }: IncomingMessage): string {
  return url.split('?', 1)[0] ?? '';
}

/** The same request as Engine.IO reads it: a new session, which is a WebSocket. */
function engineUrl(url: string): string {
  const query = new URLSearchParams(url.split('?').slice(1).join('?'));
  for (const name of ENGINE_NAMES) query.delete(name);
  const own = query.size > 0 ? `&${query.toString()}` : '';
  return `${ENGINE_PATH}?EIO=4&transport=websocket${own}`;
}

/** Takes the token out of the subprotocols that a client offers, so that it is neither selected nor seen by anybody else. */
function takeBearer({ headers }: IncomingMessage): string | undefined {
  const offered = (headers['sec-websocket-protocol'] ?? '').split(',').flatMap((name) => name.trim() || []);
  const bearer = offered.find((name) => name.startsWith(BEARER));
  const others = offered.filter((name) => !name.startsWith(BEARER));
  // The first one is selected.
  const selected = others.includes(SUBPROTOCOL) ? SUBPROTOCOL : others[0];
  if (selected === undefined) delete headers['sec-websocket-protocol'];
  else headers['sec-websocket-protocol'] = selected;
  return bearer?.slice(BEARER.length);
}

/** Answers a request to the door's path that asks for no WebSocket. */
export function answerPlainRequest(path: string, response: ServerResponse): void {
  const why = `${path} speaks WebSocket: connect with a WebSocket client, and a proxy in front has to pass the headers Upgrade and Connection on`;
  const error = new GroupcastError('UNSUPPORTED_PROTOCOL', `unable to serve the request; ${why}`);
  const headers = { 'content-type': 'application/json', upgrade: 'websocket', connection: 'upgrade' };
  response.writeHead(426, headers).end(JSON.stringify({ error: error.toBody() }));
}

/**
 * The raw door: a WebSocket at a path of its own that speaks no Socket.IO. Its upgrades become those of Engine.IO before that looks at them,
 * so they pass the same gates, and end in the same kind of connection, whose transport frames packets in another way.
 */
export function openRawDoor(
  {
    io,
    http,
    voiceOf = () => PLAIN_VOICE,
  }: { io: RelayServer; http: Server; voiceOf?: (request: Request) => RawVoice },
  { path, tokenPlaces, origins, authBy }: RawDoorOptions,
): void {
  /** The requests that came through the door, with the token among their subprotocols. */
  const requests = new WeakMap<IncomingMessage, { bearer: string | undefined }>();
  const engine = io.engine as unknown as Engine;
  const otherPlaces = tokenPlaces.filter(({ kind }) => kind !== 'auth');

  /** Whether the check-in finds credentials in the request itself, or a fault there. */
  function isNamed(request: Request): boolean {
    const { headers, _query: query } = request;
    const carrier = { headers, query };
    if (authBy === 'back-end') {
      const hasCookie = headers.cookie !== undefined && isCookieTrusted(origins, carrier);
      return hasCookie || bearerOf(headers.authorization) !== undefined;
    }
    try {
      return findToken(otherPlaces, carrier, origins) !== undefined;
    } catch {
      return true;
    }
  }

  /** The credentials that came with the upgrade; without any, the first frame has them. */
  function impliedAuth(request: Request): ImpliedAuth | undefined {
    const bearer = requests.get(request)?.bearer;
    if (bearer !== undefined) return new ImpliedAuth({ token: bearer }, false);
    // The check-in refuses it.
    if (hasUnlistedToken(request._query, authBy === 'back-end' ? [] : tokenPlaces)) return new ImpliedAuth({}, false);
    return isNamed(request) ? new ImpliedAuth({}, true) : undefined;
  }

  http.prependListener('upgrade', (request: IncomingMessage) => {
    if (pathOf(request) !== path) return;
    requests.set(request, { bearer: takeBearer(request) });
    request.url = engineUrl(request.url ?? '');
  });
  replaceTransport(engine, 'websocket', (request: Request, makeAsBefore) => {
    if (!requests.has(request)) return makeAsBefore();
    const transport = new RawTransport(request);
    transport.voice = voiceOf(request);
    return transport;
  });
  engine.on('connection', (conn) => {
    if (!isRaw(conn)) return;
    const auth = impliedAuth(conn.request as unknown as Request);
    if (auth) (conn.transport as unknown as RawTransport).imply(auth);
  });
}
