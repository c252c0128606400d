import type { Server } from 'node:http';
import type { ConnectionLimit } from '@groupcast/service-kit';
import type { Endpoint } from './endpoint.ts';
import type { SessionDoor } from './session-router.ts';

/** Where a relay stands that is one of several on a machine. */
export interface WorkerPlace {
  /** 1 … `RELAY_WORKERS`; a worker that replaces another takes its number. */
  worker: number;
  /** To the primary process. */
  primary: Endpoint;
  openDoor(http: Server, limit: ConnectionLimit): SessionDoor;
  /**
   * Says that this worker, which is stopping, has no connections any more. Resolves when those that stop with it have none either: until
   * then a request for one of their sessions may come to this worker.
   */
  allDrained(): Promise<void>;
}
