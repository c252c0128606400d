import type { IncomingMessage, ServerResponse } from 'node:http';
import {
  corsOptions,
  createBoundedServer,
  hintOfPort,
  ignoreUpgrades,
  type Listening,
  type Logger,
  listenOn,
  type Origins,
  readLittleOf,
  urlOfHost,
} from '@groupcast/service-kit';
import { GroupcastError } from '@groupcast/shared';
import { Server } from 'socket.io';
import type { RelayConfig } from './config.ts';
import { type ConnectionLimits, settleConnections } from './connections/connection-limits.ts';
import type { ConnectionIntake } from './connections/intake.ts';
import { createOriginGate } from './connections/origin-gate.ts';
import { answerPlainRequest, openRawDoor } from './connections/raw-door.ts';
import { createRawVoices } from './connections/raw-voice.ts';
import { answerBanner } from './connections/relay-page.ts';
import type { Strangers } from './connections/strangers.ts';
import { RoomAdapter } from './engine/room-adapter.ts';
import { answerUpgradesInOneWrite, attachWebSocketTransport } from './engine/web-socket-transport.ts';
import { makeSessionId } from './ipc/session-router.ts';
import type { WorkerContext } from './ipc/worker-context.ts';
import type { RelayMetrics } from './metrics/relay-metrics.ts';
import type { Notices } from './monitor/notices.ts';
import { isApiPath, type PublicApi } from './public-http/public-api.ts';
import type { RelayServer } from './sessions/session.ts';
import { nameSessions } from './sessions/session-header.ts';

/**
 * When Socket.IO closes a connection that has not authenticated, in milliseconds. The intake does so before, and knows which tokens are
 * being checked.
 */
const AUTHENTICATION_TIMEOUT_MS = 20_000;
/** Smallest limit of one packet, and the bytes it may have beside the largest message (envelope, event name, a batch). */
const MIN_PACKET_BYTES = 1_000_000;
const PACKET_OVERHEAD_BYTES = 65_536;
/** How long after the drain a wire may stay open, in milliseconds. Then it is cut: its peer has no session, or does not answer. */
const CLOSE_ALL_AFTER_MS = 1_000;

/** Answers of the public port that depend on parts which are built after it. */
export interface PublicAnswers {
  readiness: (response: ServerResponse) => Promise<void>;
  /** Without it the broadcast API is on the internal port only. */
  broadcastApi: Pick<PublicApi, 'answer'> | undefined;
}

export interface PublicServer {
  readonly io: RelayServer;
  /** Has to be called before `listen`. */
  answerWith(answers: PublicAnswers): void;
  /** Opens the port. Rejects if it is taken. */
  listen(): Promise<Listening>;
  /** Brings no more requests to other workers, and takes none from them; resolves within a moment. */
  closeRouter(): Promise<void>;
  /** Ends all connections, those of frozen peers included. */
  close(): Promise<void>;
}

/** Returns why there is nothing at a path. */
function whyNothing(path: string, wsPath: string | undefined): string {
  const raw =
    wsPath === undefined ? 'WebSocket without it where RELAY_WS_PATH says' : `WebSocket without it at ${wsPath}`;
  const elsewhere = hintOfPort(path, 'relay');
  if (elsewhere === undefined) return `the relay speaks Socket.IO at /socket.io/, and ${raw}`;
  return isApiPath(path) ? `${elsewhere}, and, for back ends, here with PUBLIC_BROADCAST_API=1` : elsewhere;
}

/** Answers requests to the public port that are not Socket.IO's. Returns false where there is nothing. */
function answerPublic(
  request: IncomingMessage,
  response: ServerResponse,
  { origins, wsPath, answers }: { origins: Origins; wsPath: string | undefined; answers: PublicAnswers | undefined },
): boolean {
  const path = request.url?.split('?')[0] ?? '';
  const isProbe = request.method === 'GET' || request.method === 'HEAD';
  if (request.method === 'GET' && path === '/') answerBanner(request, response, origins);
  else if (isProbe && path === '/livez') {
    response.writeHead(200, { 'content-type': 'text/plain; charset=utf-8' }).end('Groupcast relay is running\n');
  } else if (isProbe && path === '/readyz' && answers) void answers.readiness(response);
  else if (path === wsPath) answerPlainRequest(path, response);
  else if (answers?.broadcastApi && isApiPath(path)) answers.broadcastApi.answer(request, response);
  else {
    const error = new GroupcastError('NOT_FOUND', `unable to serve the request; ${whyNothing(path, wsPath)}`);
    response.writeHead(404, { 'content-type': 'application/json' }).end(JSON.stringify({ error: error.toBody() }));
    return false;
  }
  return true;
}

function noteApiIsOff(notices: Notices): void {
  const message =
    'request to the broadcast API refused: the public port serves it only with PUBLIC_BROADCAST_API=1; the internal port always does';
  notices({ topic: 'public-api', name: 'off', code: 'NOT_FOUND', message });
}

/** The public port: Socket.IO, behind the guards that keep strangers and foreign origins out. It listens once `listen` is called. */
export function createPublicServer(deps: {
  config: RelayConfig;
  /** Set for one worker of several, which share the port. */
  worker: WorkerContext | undefined;
  intake: ConnectionIntake;
  limits: ConnectionLimits;
  strangers: Strangers;
  notices: Notices;
  metrics: RelayMetrics;
}): PublicServer {
  const { config, worker, intake, limits, strangers, notices, metrics } = deps;
  let answers: PublicAnswers | undefined;
  const http = createBoundedServer({}, (request, response) => {
    if (answerPublic(request, response, { ...config, answers })) return;
    strangers.note(request);
    if (isApiPath(request.url ?? '')) noteApiIsOff(notices);
  });
  readLittleOf(http);
  // Java's HTTP client wishes for HTTP/2 in every request. To a path of the broadcast API that is a request like any other.
  const isOfApi = ({ url = '' }: IncomingMessage): boolean => isApiPath(url) && url.split('?')[0] !== config.wsPath;
  const isPlain = config.publicApi.isOn ? isOfApi : undefined;
  // With workers the router's server has the connections of clients, and this one has siblings, which are trusted.
  if (isPlain && !worker) ignoreUpgrades(http, isPlain, limits.public);
  const io: RelayServer = new Server(http, {
    serveClient: false,
    parser: intake.parser,
    adapter: RoomAdapter,
    connectTimeout: AUTHENTICATION_TIMEOUT_MS,
    pingInterval: config.ping.intervalMs,
    pingTimeout: config.ping.timeoutMs,
    maxHttpBufferSize: Math.max(MIN_PACKET_BYTES, config.maxPayloadBytes + PACKET_OVERHEAD_BYTES),
    cors: corsOptions(config.origins),
    allowRequest: createOriginGate({ origins: config.origins, metrics, notices }),
  });
  attachWebSocketTransport(io.engine);
  answerUpgradesInOneWrite(io.engine);
  strangers.watch(io, http);
  // It comes after Engine.IO, which takes all listeners of its server away and hands them the requests that are not its own.
  if (!worker) limits.public.guard(http);
  settleConnections(io, limits.public);
  const router = worker?.createRouter(http, limits.public, isPlain);
  nameSessions(io, worker && (() => makeSessionId(worker.number)));
  intake.attach(io);
  const { wsPath: path } = config;
  if (path !== undefined) openRawDoor({ io, http, voiceOf: createRawVoices(config.dialects) }, { ...config, path });

  return {
    io,
    answerWith(given) {
      answers = given;
    },
    async listen() {
      const at = { host: config.host, port: config.port };
      return router ? router.listen(at) : listenOn(http, at);
    },
    async closeRouter() {
      await router?.close();
    },
    async close() {
      // Node's own closeAllConnections leaves WebSockets alone, and one whose peer is frozen closes after half a minute.
      const rest = setTimeout(() => {
        for (const wire of limits.public.sockets) wire.destroy();
      }, CLOSE_ALL_AFTER_MS);
      await io.close();
      clearTimeout(rest);
    },
  };
}

/** Says where the relay can be reached, once for the whole machine. */
export function announceListening(
  config: RelayConfig,
  { port, internalPort }: { port: number; internalPort: number },
  log: Logger,
): void {
  const url = urlOfHost(config.host, port);
  log.info({ url, internalUrl: urlOfHost(config.internalHost, internalPort), host: config.host }, 'listening');
  const webSocketUrl = `${url.replace(/^http/, 'ws')}${config.wsPath ?? ''}`;
  log.info({ webSocketUrl }, `running on port ${port}`);
}
