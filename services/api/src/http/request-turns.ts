import type { Server } from 'node:http';
import {
  CONNECTION_ARRIVED,
  createFairQueue,
  type FairQueue,
  type HttpScope,
  type Ticket,
} from '@groupcast/service-kit';
import { GroupcastError } from '@groupcast/shared';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Database } from '../db/database.ts';
import type { ApiLimits } from '../limits.ts';
import type { Dispatcher } from '../outbox/dispatcher.ts';

/**
 * Requests of all users that use the database at once, and the part of one user's concurrency that may be among them. PostgreSQL has about
 * as many connections. The embedded database runs one statement after the other in this thread: more at once would only delay the next.
 */
const WORKING = { postgres: { total: 16, partOfUser: 1 / 2 }, embedded: { total: 4, partOfUser: 1 / 8 } };
/** Requests of relays in work and waiting at once. They are few and large, and wait for each other alone. */
const RELAY_WORKING = 8;
const RELAY_QUEUE = 2_000;

/** Requests of all users that wait for the database at once. */
const MAX_WAITING = 1_000;
const OVERLOAD_RETRY_MS = 1_000;

/** The turns that a request holds until its answer has been taken. */
interface Hold {
  own: Ticket;
  shared?: Ticket;
  isClosed: boolean;
  isBusy: boolean;
}

declare module 'fastify' {
  interface FastifyRequest {
    hold: Hold | null;
  }
}

/**
 * Keeps one user's burst from delaying others. A request first waits among those of its own user, before its body is read; then, once it
 * is known to be well-formed, for the database, where users take turns. It counts as the user's until its answer has been taken.
 */
export interface RequestTurns {
  /** Adds the turns to the routes of `scope`. Call it after the hook that finds out the caller, which `keyOf` needs. */
  take(scope: HttpScope, keyOf: (request: FastifyRequest) => string, onRefused: (key: string) => void): void;
  /**
   * The same for a request that another service brings for a user, whom only its body names: `read` runs once the request has its turn among
   * the user's own, whichever way they came, and `work` with what that returned once it has its turn with the database.
   */
  serve<Input, Answer>(
    caller: { key: string; request: FastifyRequest; reply: FastifyReply; onRefused: (key: string) => void },
    steps: { read: () => Input; work: (input: Input) => Promise<Answer> },
  ): Promise<Answer>;
}

/** The same dependencies for a request that lets others use the database while it waits for the relay. */
export function whileYielding<D extends { dispatcher: Pick<Dispatcher, 'whenDispatched'> }>(
  request: FastifyRequest,
  deps: D,
): D {
  const { dispatcher } = deps;
  const whenDispatched: Dispatcher['whenDispatched'] = async (...event) => {
    yieldTurn(request);
    return dispatcher.whenDispatched(...event);
  };
  return { ...deps, dispatcher: { ...dispatcher, whenDispatched } };
}

/** Lets others use the database: from now on the request waits for something that has a queue of its own. */
export function yieldTurn(request: FastifyRequest): void {
  request.hold?.shared?.leave();
}

async function begin(queue: FairQueue, key: string, request: FastifyRequest, reply: FastifyReply): Promise<void> {
  const hold: Hold = { own: queue.join(key), isClosed: false, isBusy: false };
  request.hold = hold;
  const onClose = (): void => {
    hold.isClosed = true;
    // Work that has begun counts until it is done, so that hanging up and asking again gains nothing.
    if (!hold.isBusy) hold.own.leave();
  };
  if (reply.raw.closed) onClose();
  else reply.raw.once('close', onClose);
  await hold.own.turn;
}

function end(request: FastifyRequest): void {
  const { hold } = request;
  if (!hold) return;
  hold.shared?.leave();
  hold.isBusy = false;
  if (hold.isClosed) hold.own.leave();
}

function overloaded(): GroupcastError {
  return new GroupcastError('API_UNAVAILABLE', 'unable to serve the request; the server is overloaded', {
    retryAfterMs: OVERLOAD_RETRY_MS,
  });
}

/**
 * Tells whether connections have come since the last call. libuv accepts one connection in each turn of the event loop: behind 800 that come
 * at once, with a few milliseconds of the embedded database in every turn, the next one would wait for seconds.
 */
function watchArrivals(server: Server): () => boolean {
  let arrived = false;
  server.on(CONNECTION_ARRIVED, () => {
    arrived = true;
  });
  return () => {
    const since = arrived;
    arrived = false;
    return since;
  };
}

/** While `isPressed`, which means that the event loop is late, each user is served one request at a time: bursts are refused, and others are not. */
export function createRequestTurns(
  options: { database: Database['kind']; server: Server; isPressed: () => boolean },
  limits: ApiLimits,
): RequestTurns {
  const working = WORKING[options.database];
  const own = createFairQueue({
    total: Number.POSITIVE_INFINITY,
    perKey: limits.concurrencyPerUser,
    queuePerKey: limits.queuePerUser,
  });
  // Every request in this queue is in work in the user's own queue, which bounds how many there are.
  const shared = createFairQueue({
    total: working.total,
    perKey: Math.min(working.total, Math.ceil(limits.concurrencyPerUser * working.partOfUser)),
    queuePerKey: limits.concurrencyPerUser,
    ...(options.database === 'embedded' ? { areOthersComing: watchArrivals(options.server) } : {}),
  });
  async function enter(
    key: string,
    request: FastifyRequest,
    reply: FastifyReply,
    onRefused: (key: string) => void,
  ): Promise<void> {
    if (shared.waiting >= MAX_WAITING || (own.has(key) && options.isPressed())) throw overloaded();
    try {
      await begin(own, key, request, reply);
    } catch (error) {
      onRefused(key);
      throw error;
    }
  }
  async function work({ hold }: FastifyRequest, key: string): Promise<void> {
    if (!hold) return;
    if (hold.isClosed) throw new GroupcastError('RATE_LIMITED', 'unable to serve the request; the client has gone');
    hold.isBusy = true;
    hold.shared = shared.join(key);
    await hold.shared.turn;
  }

  return {
    take(scope, keyOf, onRefused) {
      scope.addHook('onRequest', async (request, reply) => enter(keyOf(request), request, reply, onRefused));
      scope.addHook('preHandler', async (request) => work(request, keyOf(request)));
      scope.addHook('onSend', async (request) => end(request));
    },
    async serve({ key, request, reply, onRefused }, steps) {
      await enter(key, request, reply, onRefused);
      try {
        const input = steps.read();
        await work(request, key);
        return await steps.work(input);
      } finally {
        end(request);
      }
    },
  };
}

/** Turns for requests of relays, on either port: they wait for each other, and for no user. */
export function createRelayTurns(): (scope: HttpScope) => void {
  const relays = createFairQueue({ total: RELAY_WORKING, perKey: RELAY_WORKING, queuePerKey: RELAY_QUEUE });
  return (scope) => {
    scope.addHook('preHandler', async (request, reply) => {
      await begin(relays, 'relay', request, reply);
      if (request.hold) request.hold.isBusy = true;
    });
    scope.addHook('onSend', async (request) => {
      end(request);
      request.hold?.own.leave();
    });
  };
}
