import type { Logger } from '@groupcast/service-kit';
import type { GroupEvent, JsonObject, Position } from '@groupcast/shared';
import type { FanOut, OutgoingEvent } from '../fan-out/fan-out.ts';
import type { GroupLog } from '../group-log/group-log.ts';
import type { RelayMetrics } from '../metrics/relay-metrics.ts';
import { isBehind, startsAnew } from './arrival.ts';

/** Events that are read from a log at once. */
const PAGE = 500;

/** Brings this node to where the log of a group is: events that members have not got are read from the log, in order. */
export interface CatchUp {
  /** Resolves once the node is where the log is. Rejects with `BROKER_UNAVAILABLE`. Calls while one runs join it. */
  settle(groupId: string): Promise<void>;
  /** Does the same, but reports no failure: the next comparison with the log makes up for it. */
  begin(groupId: string): void;
  /** Resolves once the call that runs for this group, if any, has ended in whatever way. */
  ended(groupId: string): Promise<void>;
  stop(): void;
}

export function toOutgoing(
  event: JsonObject & { event: string; id: string },
  position: Position | null,
): OutgoingEvent {
  const { event: name, ...payload } = event;
  return { event: name, id: event.id, payload, position };
}

export function createCatchUp(deps: {
  fanOut: FanOut;
  groupLog: GroupLog;
  metrics: RelayMetrics;
  log: Logger;
  /** Whether other nodes count on this node to know who may see which group. */
  isTrusted: () => boolean;
  /** Returns true, once, for a group whose members came while its log was empty. */
  takeBeginning: (groupId: string) => boolean;
  /** Is called after the group's cursor may have moved. */
  onMoved: (groupId: string) => void;
}): CatchUp {
  const { fanOut, groupLog, metrics, log, isTrusted, takeBeginning, onMoved } = deps;
  const running = new Map<string, Promise<void>>();
  const stopping = new AbortController();

  async function settle(groupId: string): Promise<void> {
    const known = running.get(groupId);
    if (known) return known;
    const reading = readOn(groupId).finally(() => running.delete(groupId));
    running.set(groupId, reading);
    return reading;
  }

  async function readOn(groupId: string): Promise<void> {
    for (let more = true; more && !stopping.signal.aborted; ) {
      const cursor = fanOut.cursor(groupId);
      const page = await groupLog.read(groupId, cursor?.seq ?? 0, cursor ? PAGE : 0);
      const { head, floor, newsAfter, events, exceptUserIds } = page;
      if (!head || !fanOut.isWatched(groupId) || !isTrusted()) return;
      if (!cursor && takeBeginning(groupId)) {
        // Events that the log was filled with are no news to them. An event that came meanwhile has set the cursor.
        if (!fanOut.cursor(groupId)) fanOut.skipTo(groupId, { epoch: head.epoch, seq: newsAfter });
        continue;
      }
      const isNext = cursor?.epoch === head.epoch && cursor.seq >= floor;
      if (!isNext && cursor && startsAnew(cursor, head) && head.seq - floor <= PAGE) {
        await readEpoch(groupId, floor);
        return;
      }
      if (isNext) deliverAll(groupId, events, exceptUserIds);
      else if (isBehind(fanOut.cursor(groupId), head)) jump(groupId, head);
      onMoved(groupId);
      more = isNext && page.more;
    }
  }

  /** Reads a new epoch from where its log begins. */
  async function readEpoch(groupId: string, floor: number): Promise<void> {
    const { head, events, exceptUserIds } = await groupLog.read(groupId, floor, PAGE);
    const cursor = fanOut.cursor(groupId);
    if (!head || !isTrusted()) return;
    for (const event of events) {
      const position = { epoch: event.epoch, seq: event.seq };
      if (cursor && !isBehind(cursor, position)) continue;
      fanOut.deliver(groupId, toOutgoing(event, position), { exceptUserId: exceptUserIds.get(event.seq) });
    }
    onMoved(groupId);
  }

  function deliverAll(
    groupId: string,
    events: readonly GroupEvent[],
    exceptUserIds: ReadonlyMap<number, string>,
  ): void {
    for (const event of events) {
      const { epoch, seq } = event;
      const isNews = (fanOut.cursor(groupId)?.seq ?? 0) < seq;
      fanOut.deliver(groupId, toOutgoing(event, { epoch, seq }), { exceptUserId: exceptUserIds.get(seq) });
      if (isNews) metrics.filled.inc();
    }
  }

  /** The log does not reach back to where the node is: its members are told, and read the API. */
  function jump(groupId: string, head: Position): void {
    // The group has no members here yet, so no event is missing.
    if (fanOut.memberCount(groupId) > 0)
      log.warn(
        { groupId, ...head },
        'events of a group are not in the log any more; its members read them from the API',
      );
    fanOut.skipTo(groupId, head);
    fanOut.announceHead({ groupId, ...head });
  }

  return {
    settle,
    begin(groupId) {
      settle(groupId).catch((error: unknown) => log.debug({ err: error, groupId }, 'unable to catch up with the log'));
    },
    async ended(groupId) {
      await running.get(groupId)?.catch(() => undefined);
    },
    stop: () => stopping.abort(),
  };
}
