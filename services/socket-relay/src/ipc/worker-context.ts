import type { IncomingMessage, Server } from 'node:http';
import type { ConnectionLimit } from '@groupcast/service-kit';
import type { Endpoint } from './endpoint.ts';
import type { SessionRouter } from './session-router.ts';

/** The means that a relay which is one of several workers gets from its process. */
export interface WorkerContext {
  /** 1 … `RELAY_WORKERS`. A worker that replaces another takes its number. */
  number: number;
  /** The name of the workers of this machine together. */
  machine: string;
  /** Leads to the primary process. */
  primary: Endpoint;
  createRouter(http: Server, limit: ConnectionLimit, isPlain?: (request: IncomingMessage) => boolean): SessionRouter;
  /**
   * Says that this worker, which is stopping, has no connections any more. Resolves when the workers that stop with it have none either:
   * until then a request for one of their sessions may come to this worker.
   */
  allDrained(): Promise<void>;
}
