import type { IncomingMessage } from 'node:http';
import { GroupcastError } from '@groupcast/shared';
import { refuseRequest } from '../engine/refuse-request.ts';
import type { RelayMetrics } from '../metrics/relay-metrics.ts';
import type { RelayServer } from '../sessions/session.ts';
import { sessionOf } from '../sessions/session-header.ts';
import type { Drain } from './drain.ts';

/**
 * How long a refused client should wait, in milliseconds. It may have no better address yet; a load balancer does not wait, and asks the
 * next relay.
 */
const RETRY_AFTER_MS = 1_000;

/** Engine.IO's record of its sessions, which has no public type. */
interface EngineServer {
  clients: Readonly<Record<string, unknown>>;
}

/**
 * A draining relay serves its own sessions to the end and answers every other request with a 503, below Socket.IO: a stock client tries
 * again by itself, where it would stay away after a refusal inside Socket.IO, and a load balancer may hand a 503 to the next relay. That
 * includes requests of sessions it does not know: behind a balancer that chooses by the client's address, they belong to the relay that
 * took the client in.
 */
export function refuseWhileDraining(io: RelayServer, options: { drain: Drain; metrics: RelayMetrics }): void {
  const { clients } = io.engine as unknown as EngineServer;
  io.engine.use((request: IncomingMessage, response: unknown, next: () => void) => {
    const sid = sessionOf(request);
    if (!options.drain.active || (sid !== undefined && Object.hasOwn(clients, sid))) {
      next();
      return;
    }
    options.metrics.refused.inc({ code: 'SERVER_DRAINING' });
    const error = new GroupcastError('SERVER_DRAINING', 'unable to connect; the relay is draining, try again', {
      retryAfterMs: RETRY_AFTER_MS,
    });
    refuseRequest(request, response, error);
  });
}
