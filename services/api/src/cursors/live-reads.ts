import { type Logger, warnOnceEvery } from '@groupcast/service-kit';
import type { Queryable } from '../db/database.ts';
import { describeFailure } from '../db/database-errors.ts';
import type { ApiMetrics } from '../metrics.ts';
import type { RelayPort } from '../outbox/relay-connection.ts';
import { describeMoved } from './cursor-service.ts';
import type { MarkedRead } from './cursor-store.ts';

/** How often reads are shown, at most, in milliseconds. */
const INTERVAL_MS = 500;
/** Most cursors in one call to the relay. */
const MAX_PER_CALL = 1_000;
/** Most cursors that wait for the next call. */
const MAX_WAITING = 10_000;

/**
 * Shows the members of a group how far others have read over HTTP, as the relay shows it of those who read over a socket. Nobody waits for
 * it. Reads that cannot be shown are dropped and counted: cursors are cumulative, and members ask the API how far the others are.
 */
export interface LiveReads {
  add(read: { groupId: string; userId: string } & MarkedRead): void;
  stop(): Promise<void>;
}

interface Waiting {
  groupId: string;
  userId: string;
  memberCount: number;
  /** The cursor before the first read that is not shown yet, and now. */
  from: number;
  to: number;
}

export function createLiveReads(
  deps: {
    db: Queryable;
    relay: Pick<RelayPort, 'connected' | 'updateCursors'>;
    metrics: Pick<ApiMetrics, 'readsDropped'>;
    log: Logger;
  },
  { intervalMs = INTERVAL_MS, maxWaiting = MAX_WAITING }: { intervalMs?: number; maxWaiting?: number } = {},
): LiveReads {
  const { db, relay, metrics, log } = deps;
  const warn = warnOnceEvery(60_000);
  /** By group and member. */
  const waiting = new Map<string, Waiting>();
  let timer: NodeJS.Timeout | undefined;
  let sending = Promise.resolve();

  function drop(reason: 'relay' | 'full', count: number): void {
    metrics.readsDropped.inc({ reason }, count);
  }

  async function show(reads: readonly Waiting[]): Promise<void> {
    const memberCounts = new Map(reads.map(({ groupId, memberCount }) => [groupId, memberCount]));
    const moved = reads.map(({ groupId, userId, from, to }) => {
      return { groupId, userId, received: [from, to], read: [from, to] } as const;
    });
    await relay.updateCursors({
      cursors: reads.map(({ groupId, userId, to }) => ({ groupId, userId, read: to })),
      groups: await describeMoved(db, memberCounts, moved),
    });
  }

  /** The next call waits for this one, and for its interval. */
  async function send(): Promise<void> {
    const reads = [...waiting.values()].slice(0, MAX_PER_CALL);
    for (const { groupId, userId } of reads) waiting.delete(keyOf(groupId, userId));
    if (!relay.connected) {
      drop('relay', reads.length + waiting.size);
      waiting.clear();
      return;
    }
    try {
      await show(reads);
    } catch (error) {
      drop('relay', reads.length);
      warn('failed', (suppressed) => {
        log.warn(
          { ...describeFailure(error), suppressed },
          'unable to show who has read; members see it when they ask',
        );
      });
    }
    if (waiting.size > 0) later();
  }

  function later(): void {
    timer ??= setTimeout(() => {
      timer = undefined;
      sending = sending.then(send);
    }, intervalMs).unref();
  }

  const keyOf = (groupId: string, userId: string): string => `${groupId} ${userId}`;

  return {
    add({ groupId, userId, memberCount, readFrom, readSeq }) {
      if (readSeq <= readFrom) return;
      const key = keyOf(groupId, userId);
      const known = waiting.get(key);
      if (!known && waiting.size >= maxWaiting) {
        drop('full', 1);
        warn('full', (suppressed) => log.warn({ suppressed }, 'too many members read at once: not all is shown live'));
        return;
      }
      const [from, to] = known ? [Math.min(known.from, readFrom), Math.max(known.to, readSeq)] : [readFrom, readSeq];
      waiting.set(key, { groupId, userId, memberCount, from, to });
      later();
    },
    async stop() {
      clearTimeout(timer);
      if (waiting.size > 0) drop('relay', waiting.size);
      waiting.clear();
      await sending;
    },
  };
}
