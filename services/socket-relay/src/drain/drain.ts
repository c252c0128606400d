import type { Logger } from '@groupcast/service-kit';
import { GroupcastError } from '@groupcast/shared';
import { isUserSocket, type RelayServer, type RelaySocket } from '../sessions/session.ts';
import { endSession } from '../sessions/session-ending.ts';

/**
 * `serving`: the relay takes new connections. `draining`: it takes none, and its connections are told to go, evenly over the given time.
 * `drained`: no connection is left, and none is let in, until the drain is undone or the process ends.
 */
export type DrainState = 'serving' | 'draining' | 'drained';

/** How far the drain of one relay is: who has left it. The other relays know who came back to them (returned-users.ts). */
export interface DrainProgress {
  state: DrainState;
  /** Connections that were here when the drain began, or finished their handshake since: `moved` and `remaining`. */
  total: number;
  /** Connections that have gone: told to go, or by themselves. */
  moved: number;
  /** Connections that are still here, and still served. */
  remaining: number;
}

export interface Drain {
  /** Whether new connections are refused. */
  readonly active: boolean;
  progress(): DrainProgress;
  /** The users whose connections the drain moved, with their numbers, and how long ago it began; `undefined` while there is no drain. */
  movedUsers(): { users: ReadonlyMap<string, number>; withinMs: number } | undefined;
  /**
   * Moves every connection away within `ms`; joins the drain that runs already, whose time stays. Resolves when the last one is gone;
   * rejects with `CONFLICT` if the drain is undone before.
   */
  start(ms?: number): Promise<DrainProgress>;
  /** Takes new connections again; a connection that was told to go is gone. Throws `CONFLICT` once the process is stopping. */
  undo(): DrainProgress;
  /** Drains before the process ends: this drain cannot be undone, and one that runs already is hurried to end within this relay's own time. */
  finish(): Promise<void>;
}

/** How often connections are told, in milliseconds, if there are many. */
const STEP_MS = 50;
/** Shortest part of a wait that is left to chance, in milliseconds, so that connections that were told in one step do not come back in one. */
const MIN_RANDOM_MS = 300;
/** Time per connection below which a drain makes up for it with longer random waits, and the longest of them, in milliseconds. */
const SPREAD_PER_CONNECTION_MS = 5;
const MAX_RANDOM_MS = 5_000;
/** How long after it was told a connection may stay, in milliseconds. Then it does not answer, and its session is closed from this side. */
const GONE_WITHIN_MS = 1_000;

/**
 * Spreads a drain by when each connection is told, so that the relays that remain meet a trickle and not a storm. The wait of a client is
 * short, because the load balancer sends it there.
 */
export function createDrain(options: { io: RelayServer; drainMs: number; log: Logger }): Drain {
  const { io, log } = options;
  const { sockets } = io.of('/');
  let state: DrainState = 'serving';
  let stopping = false;
  let total = 0;
  let startedAt = 0;
  /** Connections of each user that were here since it began. */
  let users = new Map<string, number>();
  let deadline = 0;
  let randomMs = 0;
  let told = new WeakSet<RelaySocket>();
  let lastToldAt = 0;
  let nextTellAt = 0;
  let timer: NodeJS.Timeout | undefined;
  let running = settleable<DrainProgress>();

  function progress(): DrainProgress {
    const remaining = sockets.size;
    const all = state === 'serving' ? remaining : total;
    return { state, total: all, moved: all - remaining, remaining };
  }

  function tell(socket: RelaySocket): void {
    told.add(socket);
    lastToldAt = performance.now();
    endSession(socket, {
      code: 'SERVER_DRAINING',
      message: 'the relay is draining, connect again',
      next: 'reconnect',
      retryAfterMs: Math.floor(Math.random() * randomMs),
    });
  }

  /** Returns the connections that were not told yet, back ends last: what they send reaches the members who are still here. */
  function waiting(): RelaySocket[] {
    const all = [...sockets.values()].filter((socket) => !told.has(socket));
    return [...all.filter(isUserSocket), ...all.filter((socket) => !isUserSocket(socket))];
  }

  function step(): void {
    clearTimeout(timer);
    const now = performance.now();
    const queue = waiting();
    if (sockets.size === 0) {
      state = 'drained';
      log.info(progress(), 'drained');
      running.resolve(progress());
      return;
    }
    if (queue.length > 0 && now >= nextTellAt) {
      const gap = Math.max(0, deadline - now) / queue.length;
      const batch = gap === 0 ? queue.length : Math.max(1, Math.round(STEP_MS / gap));
      for (const socket of queue.slice(0, batch)) tell(socket);
      nextTellAt = now + batch * gap;
    } else if (queue.length === 0 && now - lastToldAt > GONE_WITHIN_MS) {
      for (const socket of sockets.values()) socket.disconnect(true);
    }
    timer = setTimeout(step, Math.min(STEP_MS, Math.max(1, nextTellAt - now)));
  }

  function begin(ms: number): void {
    state = 'draining';
    total = sockets.size;
    startedAt = performance.now();
    users = new Map();
    for (const socket of sockets.values()) count(users, socket, 1);
    told = new WeakSet();
    deadline = performance.now() + ms;
    nextTellAt = 0;
    randomMs = Math.max(MIN_RANDOM_MS, Math.min(MAX_RANDOM_MS, total * SPREAD_PER_CONNECTION_MS) - ms);
    running = settleable();
    log.info({ connections: total, ms }, 'draining');
    step();
  }

  // Its handshake was under way when the drain began.
  io.on('connection', (socket) => {
    if (state === 'serving') return;
    total += 1;
    count(users, socket, 1);
    if (state === 'drained') tell(socket);
  });

  return {
    get active() {
      return state !== 'serving';
    },
    progress,
    movedUsers() {
      if (state === 'serving') return undefined;
      const moved = new Map(users);
      for (const socket of sockets.values()) count(moved, socket, -1);
      return { users: moved, withinMs: performance.now() - startedAt };
    },
    start(ms = options.drainMs) {
      if (state === 'serving') begin(ms);
      return running.done;
    },
    undo() {
      if (stopping) throw new GroupcastError('CONFLICT', 'unable to undo the drain; the process is stopping');
      clearTimeout(timer);
      if (state === 'draining') {
        running.reject(new GroupcastError('CONFLICT', 'unable to finish the drain; it was undone'));
      }
      if (state !== 'serving') log.info(progress(), 'drain undone');
      state = 'serving';
      return progress();
    },
    async finish() {
      stopping = true;
      if (state === 'serving') begin(options.drainMs);
      deadline = Math.min(deadline, performance.now() + options.drainMs);
      nextTellAt = Math.min(nextTellAt, deadline);
      await running.done;
    },
  };
}

function count(users: Map<string, number>, socket: RelaySocket, by: 1 | -1): void {
  if (!isUserSocket(socket)) return;
  const { userId } = socket.data.session;
  users.set(userId, (users.get(userId) ?? 0) + by);
}

function settleable<T>(): { done: Promise<T>; resolve: (value: T) => void; reject: (error: Error) => void } {
  let resolve: (value: T) => void = () => undefined;
  let reject: (error: Error) => void = () => undefined;
  const done = new Promise<T>((...settle) => {
    [resolve, reject] = settle;
  });
  // A caller that does not wait does not hear how it ended.
  done.catch(() => undefined);
  return { done, resolve, reject };
}
