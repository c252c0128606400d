import { type Logger, TimedOut, warnOnceEvery, within } from '@groupcast/service-kit';
import {
  GroupcastError,
  type GroupEvent,
  isAfter,
  type Position,
  type RecoveryResult,
  relationOf,
} from '@groupcast/shared';
import type { Deliveries } from '../fan-out/deliveries.ts';
import type { FanOut } from '../fan-out/fan-out.ts';
import type { GroupFeed } from '../feed/feed.ts';
import type { GroupLog, LogPage } from '../group-log/group-log.ts';
import type { RelayMetrics } from '../metrics/relay-metrics.ts';
import type { HistoryFill } from '../upstream/history-fill.ts';

/** Most events and bytes of one answer, over all its groups. */
const MAX_EVENTS = 500;
const MAX_BYTES = 256 * 1_024;
/** Rounds after which the client has to ask again: under load a group may move while others are read. */
const MAX_ROUNDS = 5;
/** How long the log of a group may take to be filled, in milliseconds. After that the member reads the group from the API. */
const MAX_FILL_MS = 1_500;

/** A group to enter, and the position to recover from. Without a position only the head is told. */
export interface Entry {
  groupId: string;
  since: Position | undefined;
  /** The position is only right if nothing has come since. */
  atHead?: boolean;
}

export interface PreparedRecovery {
  /** Whether everything that was missed can be had: all of it after the positions, and in groups without one, or at their head, nothing. */
  readonly isExact: boolean;
  commit(socketId: string, mayEnter: (groupId: string) => boolean): Map<string, RecoveryResult>;
}

export interface Recovery {
  /**
   * Reads what the member missed in each group. `commit` enters the groups that are complete, and returns the answers. Call it exactly
   * once, in the turn in which they leave, so that no live event comes before them, twice, or not at all. Groups that `mayEnter` refuses by
   * then have no answer.
   */
  recover(userId: string, entries: readonly Entry[]): Promise<PreparedRecovery>;
}

interface Progress {
  /** The log was asked, and did not know the group. */
  isEmpty?: boolean;
  entry: Entry;
  result: RecoveryResult;
}

function isExact({ entry: { since, atHead }, result: { recovered, position } }: Progress): boolean {
  if (!since) return position === null;
  return recovered && (!atHead || position?.seq === since.seq);
}

function outcomeOf({ more, recovered }: RecoveryResult): string {
  if (!recovered) return 'not-recovered';
  return more ? 'more' : 'recovered';
}

export function createRecovery(deps: {
  groupLog: GroupLog;
  feed: GroupFeed;
  fanOut: FanOut;
  deliveries: Pick<Deliveries, 'recovered'>;
  fill: HistoryFill | undefined;
  /** False while somebody may be removed without this relay's knowledge: then nobody is given an event. */
  isTrusted: () => boolean;
  metrics: Pick<RelayMetrics, 'resumes'>;
  log: Logger;
}): Recovery {
  const { groupLog, feed, fanOut, fill, log } = deps;
  const warn = warnOnceEvery(60_000);

  /** Whether the log holds everything after `since`. */
  function covers(page: LogPage, since: Position): boolean {
    return page.head !== null && relationOf(page.head, since) === 'behind' && since.seq >= page.floor;
  }

  /** Fills the logs that begin after the positions of the members, all groups at once. */
  async function fillMissing(entries: readonly Entry[]): Promise<void> {
    if (!fill) return;
    const fills = entries.map(async ({ groupId, since }) => {
      if (!since) return;
      const { head, floor } = await groupLog.read(groupId, since.seq, 0);
      if (head && (head.epoch !== since.epoch || floor <= since.seq)) return;
      await fill.fill(groupId);
    });
    await within(MAX_FILL_MS, Promise.all(fills), 'the logs to be filled').catch((error: unknown) => {
      if (!(error instanceof TimedOut)) throw error;
    });
  }

  async function readOne(
    userId: string,
    entry: Entry,
    budget: { events: number; bytes: number },
  ): Promise<RecoveryResult> {
    const { groupId, since } = entry;
    const page = await groupLog.read(groupId, since?.seq ?? 0, since ? budget.events : 0, userId);
    if (!since || !page.head || !covers(page, since)) {
      return { recovered: false, position: page.head, events: [], more: false };
    }
    const events: GroupEvent[] = [];
    for (const event of page.events) {
      const bytes = Buffer.byteLength(JSON.stringify(event));
      if (bytes > budget.bytes && budget.events < MAX_EVENTS) {
        return { recovered: true, position: { epoch: since.epoch, seq: event.seq - 1 }, events, more: true };
      }
      budget.events -= 1;
      budget.bytes -= bytes;
      events.push(event);
    }
    return { recovered: true, position: { epoch: since.epoch, seq: page.lastSeq }, events, more: page.more };
  }

  /** Whether events were delivered to others since the read, which this member has not got. */
  function isBehind({ entry, result }: Progress): boolean {
    const cursor = fanOut.cursor(entry.groupId);
    if (!cursor) return false;
    if (!result.position) return true;
    return relationOf(result.position, cursor) !== 'behind';
  }

  /** Whether the member has read events that the node has not delivered yet. In a moment it will have. */
  function isAhead({ entry, result }: Progress): boolean {
    const cursor = fanOut.cursor(entry.groupId);
    if (!result.position) return false;
    if (!cursor) return feed.awaitsBeginning(entry.groupId);
    return isAfter(result.position, cursor);
  }

  /** Reads until every group is where the node is, as far as budget and rounds allow. */
  async function readAll(userId: string, entries: readonly Entry[]): Promise<Progress[]> {
    const progress: Progress[] = [];
    const budget = { events: MAX_EVENTS, bytes: MAX_BYTES };
    await feed.open(entries.map(({ groupId }) => groupId));
    await fillMissing(entries);
    for (const entry of entries) {
      const result = await readOne(userId, entry, budget);
      progress.push({ entry, result, isEmpty: result.position === null });
    }
    return followNode(userId, progress, budget);
  }

  async function followNode(
    userId: string,
    progress: Progress[],
    budget: { events: number; bytes: number },
  ): Promise<Progress[]> {
    for (let round = 0; round < MAX_ROUNDS; round += 1) {
      const open = progress.filter((item) => !item.result.more && (isBehind(item) || isAhead(item)));
      if (open.length === 0) break;
      for (const item of open) {
        if (isAhead(item)) {
          await feed.settle(item.entry.groupId);
          continue;
        }
        const { result, entry } = item;
        const since = result.recovered ? (result.position ?? undefined) : entry.since;
        const next = await readOne(userId, { ...entry, since }, budget);
        item.result =
          next.recovered && result.recovered ? { ...next, events: [...result.events, ...next.events] } : next;
      }
    }
    return progress;
  }

  /** While the log is away members come in all the same: they are told that nothing is known, and read the API. */
  function withoutLog(entries: readonly Entry[], error: GroupcastError): Progress[] {
    warn('log', (suppressed) =>
      log.warn({ err: error, suppressed }, 'unable to recover members from the log; they read the API'),
    );
    return entries.map((entry) => {
      return { entry, result: { recovered: false, position: fanOut.cursor(entry.groupId), events: [], more: false } };
    });
  }

  return {
    async recover(userId, entries) {
      // From now on events that go by in these groups are noticed, whether or not the node has other members in them.
      const releases = entries.map(({ groupId }) => fanOut.hold(groupId));
      const release = (): void => {
        for (const done of releases.splice(0)) done();
      };
      const progress = await readAll(userId, entries).catch((error: unknown) => {
        if (error instanceof GroupcastError && error.code === 'BROKER_UNAVAILABLE') return withoutLog(entries, error);
        release();
        throw error;
      });

      return {
        isExact: progress.every(isExact),
        commit(socketId, mayEnter) {
          const answers = new Map<string, RecoveryResult>();
          for (const item of progress) {
            const { groupId } = item.entry;
            if (!mayEnter(groupId)) continue;
            let { result } = item;
            if (result.events.length > 0 && !deps.isTrusted())
              result = { ...result, recovered: false, events: [], more: false };
            if (!result.more && (isBehind(item) || isAhead(item))) {
              // It moved again. A client that recovers asks again; one that only joins is told where the node stands, which is exact.
              result = result.recovered ? { ...result, more: true } : { ...result, position: fanOut.cursor(groupId) };
            }
            if (!result.more) fanOut.enter(socketId, groupId, result.position);
            if (result.events.length > 0) {
              const { epoch = '', seq: upTo = 0 } = result.position ?? {};
              deps.deliveries.recovered(socketId, groupId, { epoch, after: item.entry.since?.seq ?? 0, upTo });
            }
            if (item.isEmpty) feed.beginsEmpty(groupId);
            answers.set(groupId, result);
            if (item.entry.since) deps.metrics.resumes.inc({ outcome: outcomeOf(result) });
          }
          release();
          return answers;
        },
      };
    },
  };
}
