import { type Logger, warnOnceEvery } from '@groupcast/service-kit';
import { isBusy } from '../engine/web-socket-transport.ts';
import type { RelayMetrics } from '../metrics/relay-metrics.ts';
import type { MonitorFeed } from '../monitor/monitor-feed.ts';
import { isUserSocket, type RelaySocket } from '../sessions/session.ts';
import { endSession } from '../sessions/session-ending.ts';
import { type BacklogSample, createSendBacklog, type SendBacklog } from './send-backlog.ts';

/** How long a connection may stay above the cap without sending a byte, in milliseconds. */
const STALL_MS = 5_000;
/** Multiple of the cap at which a connection is cut at once. */
const HARD_FACTOR = 4;
/** How often connections above the cap are looked at if nothing is written to them, in milliseconds. */
const LOOK_MS = 250;
/** How long a connection that is cut may take to read why, in milliseconds. */
const GRACE_MS = 1_000;
/** How long a client that was cut waits before it comes back, in milliseconds: the cause may have passed by then. */
const RETRY_MIN_MS = 1_000;
const RETRY_SPREAD_MS = 2_000;

export type CutReason = 'stalled' | 'over-limit';

/** The state of a connection that is above the cap, from the look that found it there to the look that finds it below. */
export interface Excursion {
  bytes: number;
  /** Most bytes that may wait for it. */
  limit: number;
  /** The burst of one turn took it over the limit, and was let pass. */
  excused: boolean;
  progress: number;
  /** When a look last found that bytes had gone out, or found the connection above the cap for the first time. */
  progressAt: number;
}

/**
 * The rule. At or below the cap nothing is wrong, whatever was before. Above it,
 *
 * - `stalled`: nothing went out for 5 s;
 * - `over-limit`: more than 4 times the cap is waiting. But looks come after the turn that wrote, and one turn may bring any reader more
 *   than its socket takes. If the connection was fine until then (at or below the cap, or bytes went out since the last look), the backlog
 *   may drain, and one cap more may come meanwhile. This happens once: the limit falls with the backlog, and the next burst has to wait
 *   until it is at the cap.
 *
 * So the relay holds 4 caps and a turn's writes for a reader that has stopped, and 5 caps for a reader that is too slow. For a reader to
 * which a single turn brought more than that, it holds that turn's bytes and one cap.
 */
export function judge(
  before: Excursion | undefined,
  { bytes, progress }: BacklogSample,
  { cap, now }: { cap: number; now: number },
): Excursion | CutReason | undefined {
  if (bytes <= cap) return undefined;
  const hard = HARD_FACTOR * cap;
  const moved = before === undefined || before.progress !== progress;
  const progressAt = moved ? now : before.progressAt;
  if (now - progressAt >= STALL_MS) return 'stalled';
  const overLimit = bytes > (before?.limit ?? hard);
  if (overLimit && (before?.excused || !moved)) return 'over-limit';
  const excused = overLimit || before?.excused === true;
  const limit = excused ? Math.max(hard, Math.min(before?.excused ? before.limit : Infinity, bytes + cap)) : hard;
  return { bytes, limit, excused, progress, progressAt };
}

/** A connection that was written to while its transport was busy at least once. Most connections never are. */
interface Watched {
  socket: RelaySocket;
  backlog: SendBacklog;
  /** Something was written to it in this turn while its transport was busy. */
  noted: boolean;
  excursion: Excursion | undefined;
  ended: boolean;
}

/**
 * Cuts connections that do not read their events, so that nobody waits for them and the process does not grow. They are told to come back,
 * and recover by position. A connection is looked at after turns that wrote to it while its transport was busy, and four times a second
 * while it is above the cap; any other connection costs one comparison per packet.
 */
export interface SlowConsumers {
  watch(socket: RelaySocket): void;
  /** Call it after a write past the connection's engine, before which nothing was waiting. `waitingBytes` of the write were not taken at once. */
  wroteDirectly(socket: RelaySocket, waitingBytes: number): void;
  forget(socket: RelaySocket): void;
  stop(): void;
}

/** The Socket.IO socket that an engine connection belongs to. */
const SOCKET = Symbol('socket');

export function createSlowConsumers(deps: {
  /** Most bytes that may wait for one connection; see `judge`. */
  maxBufferedBytes: number;
  monitor: MonitorFeed;
  metrics: RelayMetrics;
  log: Logger;
}): SlowConsumers {
  const { maxBufferedBytes: cap, monitor, metrics, log } = deps;
  const warn = warnOnceEvery(60_000);
  const watchedBy = new WeakMap<RelaySocket, Watched>();
  let noted: Watched[] = [];
  let lookingSoon: NodeJS.Immediate | undefined;
  const aboveCap = new Set<Watched>();
  /** Connections that were cut, and when their wire is destroyed. */
  const ending = new Map<Watched, number>();
  let timer: NodeJS.Timeout | undefined;

  function calm(watched: Watched): void {
    watched.excursion = undefined;
    aboveCap.delete(watched);
  }

  function cut(watched: Watched, reason: CutReason, bytes: number): void {
    const { socket, backlog } = watched;
    const userId = isUserSocket(socket) ? socket.data.session.userId : undefined;
    watched.ended = true;
    calm(watched);
    const message = `the connection reads too slowly; ${bytes} bytes were waiting for it`;
    const retryAfterMs = RETRY_MIN_MS + Math.floor(Math.random() * RETRY_SPREAD_MS);
    endSession(socket, { code: 'SLOW_CONSUMER', message, next: 'reconnect', retryAfterMs });
    // Not earlier: events that were still pending have left before the last packet, and would follow a gap.
    backlog.dropAllButLast();
    ending.set(watched, performance.now() + GRACE_MS);
    metrics.slowConsumers.inc({ reason });
    metrics.slowConsumerBacklog.observe(bytes);
    const who = { socketId: socket.id, ...(userId === undefined ? {} : { userId }) };
    monitor.publish({ kind: 'warning', code: 'SLOW_CONSUMER', message, ...who });
    warn(reason, (suppressed) => {
      log.warn({ code: 'SLOW_CONSUMER', ...who, reason, bytes, suppressed }, `connection cut: ${message}`);
    });
  }

  function look(watched: Watched): void {
    if (watched.ended) return;
    const sample = watched.backlog.sample();
    const verdict = judge(watched.excursion, sample, { cap, now: performance.now() });
    if (typeof verdict === 'string') return cut(watched, verdict, sample.bytes);
    if (!verdict) return calm(watched);
    watched.excursion = verdict;
    aboveCap.add(watched);
  }

  function lookAtNoted(): void {
    lookingSoon = undefined;
    const turn = noted;
    noted = [];
    for (const watched of turn) {
      watched.noted = false;
      look(watched);
    }
    keepLooking();
  }

  function note(watched: Watched): void {
    watched.noted = true;
    noted.push(watched);
    lookingSoon ??= setImmediate(lookAtNoted);
  }

  /** Counts bytes that went out since the last look, before a turn adds to them: a burst finds the connection as it was. */
  function lookBefore(watched: Watched): void {
    if (watched.excursion && watched.backlog.sample().bytes <= cap) calm(watched);
  }

  function lookAround(): void {
    for (const watched of aboveCap) {
      lookBefore(watched);
      // Looks later in this turn: after a turn that took seconds, the sockets come first.
      if (watched.excursion && !watched.noted) note(watched);
    }
    const now = performance.now();
    for (const [watched, at] of ending) {
      if (at > now) continue;
      ending.delete(watched);
      watched.backlog.destroy();
    }
    timer = undefined;
    keepLooking();
  }

  function keepLooking(): void {
    if (timer || aboveCap.size + ending.size === 0) return;
    timer = setTimeout(lookAround, LOOK_MS);
    timer.unref();
  }

  metrics.watchSendBacklog(() => {
    let bytes = 0;
    for (const { excursion } of aboveCap) bytes += excursion?.bytes ?? 0;
    return { connections: aboveCap.size, bytes };
  });

  function watchedOf(socket: RelaySocket): Watched {
    const known = watchedBy.get(socket);
    if (known) return known;
    const backlog = createSendBacklog(socket);
    const watched: Watched = { socket, backlog, noted: false, excursion: undefined, ended: false };
    watchedBy.set(socket, watched);
    return watched;
  }

  /** Is called before each packet. On an idle transport a packet goes straight out; whether it arrived shows at the next one. */
  function onPacketCreate(this: RelaySocket['conn']): void {
    const { [SOCKET]: socket } = this as unknown as { [SOCKET]: RelaySocket };
    const known = watchedBy.get(socket);
    if (known?.noted || known?.ended) return;
    if (known) lookBefore(known);
    if (isBusy(this)) note(known ?? watchedOf(socket));
  }

  return {
    watch(socket) {
      const { conn } = socket;
      // The answers to its polls have to be known from the first one on.
      if (conn.transport.name === 'polling') watchedOf(socket);
      // All connections have the same listener.
      Object.assign(conn, { [SOCKET]: socket });
      conn.on('packetCreate', onPacketCreate);
    },
    wroteDirectly(socket, waitingBytes) {
      const known = aboveCap.size > 0 ? watchedBy.get(socket) : undefined;
      if (known?.excursion) calm(known);
      if (waitingBytes <= cap) return;
      // Its engine knows nothing of the write, and will find its transport idle at the next packet, if there is one.
      const watched = known ?? watchedOf(socket);
      if (!watched.noted && !watched.ended) note(watched);
    },
    forget(socket) {
      const watched = watchedBy.get(socket);
      if (!watched) return;
      watched.ended = true;
      calm(watched);
    },
    stop() {
      clearImmediate(lookingSoon);
      clearTimeout(timer);
      for (const watched of ending.keys()) watched.backlog.destroy();
      ending.clear();
      aboveCap.clear();
    },
  };
}
