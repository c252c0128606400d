import type { Logger } from '@groupcast/service-kit';
import type { GroupEvent, JsonObject, Position } from '@groupcast/shared';
import type { DeliveryExceptions, FanOut, OutgoingEvent } from '../fan-out/fan-out.ts';
import type { GroupLog } from '../group-log/group-log.ts';
import type { RelayMetrics } from '../metrics.ts';
import type { ShardChannels } from '../nodes/channels.ts';
import { decodeGroupMessage, type EventMessage, groupChannel } from '../wire-format.ts';
import { isBehind, judgeArrival, startsAnew } from './arrival.ts';
import type { GroupFeed } from './feed.ts';
import { createHeldEvents } from './held-events.ts';

export interface ClusterFeedDeps {
  node: string;
  fanOut: FanOut;
  groupLog: GroupLog;
  channels: ShardChannels;
  metrics: RelayMetrics;
  log: Logger;
  /** Others count on this node to know who may see what. */
  isTrusted: () => boolean;
  /** Another node says that somebody came to the group or left it. */
  onPresence: (groupId: string) => void;
}

const PAGE = 500;
/** Every group with members is compared with its log so often: a lost message leaves no other trace. */
const CHECK_INTERVAL_MS = 4_000;
const CHECKS_AT_ONCE = 64;
/** A group that could not be brought to where its log is, after an outage, is tried again so soon, in milliseconds. */
const SETTLE_RETRY_MS = 250;
/** For so long after an outage everybody waits for groups that cannot be brought there; the comparison of all groups goes on with them. */
const SETTLE_FOR_MS = 10_000;
/** A group without members is listened to for so long, in case one comes back. */
const LINGER_MS = 10_000;

/**
 * Events of all nodes, in the order of the log. What follows the node's cursor goes on at once; what is above it waits a moment
 * for what is missing, and is then read from the log. After an outage every group is compared with its log.
 */
export function createClusterFeed(deps: ClusterFeedDeps): GroupFeed {
  const { fanOut, groupLog, channels, log, metrics } = deps;
  const heldEvents = createHeldEvents({ fanOut, onOverdue: catchUp });
  const fills = new Map<string, Promise<void>>();
  const lingering = new Map<string, NodeJS.Timeout>();
  const open = new Set<string>();
  /** Groups without a cursor whose members came while the log was empty: what was appended to it since is theirs. */
  const beginnings = new Set<string>();
  let checking = false;
  const stopping = new AbortController();

  function receive(groupId: string, event: OutgoingEvent, except?: DeliveryExceptions): number {
    // It may be nobody's here any more, and is read from the log once that is known.
    if (!deps.isTrusted()) return fanOut.memberCount(groupId, except);
    const awaitsBeginning = beginnings.has(groupId);
    const verdict = judgeArrival(fanOut.cursor(groupId), event.position, { awaitsBeginning });
    switch (verdict) {
      case 'deliver': {
        const count = fanOut.deliver(groupId, event, except);
        release(groupId);
        return count;
      }
      case 'hold':
        heldEvents.hold(groupId, event, except);
        return fanOut.memberCount(groupId, except);
      case 'known':
        // It came over the channel before its publisher's call had an answer.
        return fanOut.memberCount(groupId, except);
      default: {
        const unreachable: never = verdict;
        return unreachable;
      }
    }
  }

  /** The cursor has moved. */
  function release(groupId: string): void {
    if (fanOut.cursor(groupId)) beginnings.delete(groupId);
    heldEvents.release(groupId);
  }

  /** Only where the node is behind; a failure is made good by the next comparison. */
  function catchUp(groupId: string): void {
    settle(groupId).catch((error: unknown) => log.debug({ err: error, groupId }, 'unable to catch up with the log'));
  }

  async function settle(groupId: string): Promise<void> {
    const running = fills.get(groupId);
    if (running) return running;
    const fill = readOn(groupId).finally(() => fills.delete(groupId));
    fills.set(groupId, fill);
    return fill;
  }

  async function readOn(groupId: string): Promise<void> {
    for (let more = true; more && !stopping.signal.aborted; ) {
      const cursor = fanOut.cursor(groupId);
      const page = await groupLog.read(groupId, cursor?.seq ?? 0, cursor ? PAGE : 0);
      const { head, floor, newsAfter, events, exceptUserIds } = page;
      if (!head || !fanOut.isWatched(groupId) || !deps.isTrusted()) return;
      if (!cursor && beginnings.delete(groupId)) {
        // What the log was filled with is no news to them. An event that came meanwhile has set the cursor.
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
      release(groupId);
      more = isNext && page.more;
    }
  }

  /** A new epoch from where its log begins. */
  async function readEpoch(groupId: string, floor: number): Promise<void> {
    const { head, events, exceptUserIds } = await groupLog.read(groupId, floor, PAGE);
    const cursor = fanOut.cursor(groupId);
    if (!head || !deps.isTrusted()) return;
    for (const event of events) {
      const position = { epoch: event.epoch, seq: event.seq };
      if (cursor && !isBehind(cursor, position)) continue;
      fanOut.deliver(groupId, toOutgoing(event, position), { exceptUserId: exceptUserIds.get(event.seq) });
    }
    release(groupId);
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
    log.warn({ groupId, ...head }, 'events of a group are not in the log any more; its members read them from the API');
    fanOut.skipTo(groupId, head);
    fanOut.announceHead({ groupId, ...head });
  }

  function onMessage(groupId: string, text: string): void {
    // Somebody may have been removed meanwhile; what is left out here is read from the log.
    if (!deps.isTrusted()) return;
    const message = decodeGroupMessage(text);
    switch (message.type) {
      case 'presence-changed':
        deps.onPresence(groupId);
        return;
      case 'event':
        onEvent(groupId, message);
        return;
      default:
        message satisfies never;
    }
  }

  function onEvent(groupId: string, { node, event, exceptSocketId, exceptUserId }: EventMessage): void {
    const { epoch, seq } = event;
    const position = typeof epoch === 'string' && typeof seq === 'number' ? { epoch, seq } : null;
    // An event without a position cannot be recognised: the node that accepted it has handed it over.
    if (node === deps.node && !position) return;
    if (event.groupId !== groupId) throw new Error('an event of another group');
    receive(groupId, toOutgoing(event, position), { exceptSocketId, exceptUserId });
  }

  /** Resolves once what happens from now on comes in, and what happened before has been handed on. */
  async function settleFromHere(groupId: string): Promise<boolean> {
    try {
      await subscribe(groupId);
      // One that began before there was a lease has handed on nothing.
      await fills.get(groupId)?.catch(() => undefined);
      await settle(groupId);
      deps.onPresence(groupId);
      return true;
    } catch (error) {
      log.debug({ err: error, groupId }, 'unable to bring a group to where its log is; will try again');
      return false;
    }
  }

  async function settleAll(): Promise<boolean> {
    const deadline = performance.now() + SETTLE_FOR_MS;
    let behind = [...open];
    while (behind.length > 0) {
      const again: string[] = [];
      for (let start = 0; start < behind.length; start += CHECKS_AT_ONCE) {
        const page = behind.slice(start, start + CHECKS_AT_ONCE).filter((groupId) => open.has(groupId));
        const settled = await Promise.all(page.map(settleFromHere));
        if (stopping.signal.aborted || !deps.isTrusted()) return false;
        again.push(...page.filter((_, index) => !settled[index]));
        if (settled.every(Boolean) || performance.now() <= deadline) continue;
        again.push(...behind.slice(start + CHECKS_AT_ONCE));
        break;
      }
      behind = again.filter((groupId) => open.has(groupId));
      if (behind.length > 0 && performance.now() > deadline) {
        log.warn(
          { groups: behind.length, groupId: behind[0] },
          'groups cannot be brought to where their logs are; delivering again without what they missed, until they can',
        );
        break;
      }
      if (behind.length > 0) await new Promise((resolve) => setTimeout(resolve, SETTLE_RETRY_MS));
    }
    return deps.isTrusted();
  }

  async function listen(groupId: string): Promise<void> {
    clearTimeout(lingering.get(groupId));
    lingering.delete(groupId);
    open.add(groupId);
    await subscribe(groupId);
  }

  async function subscribe(groupId: string): Promise<void> {
    await channels.subscribe(groupChannel(groupId), {
      onMessage: (text) => onMessage(groupId, text),
      onSubscribed: () => catchUp(groupId),
    });
  }

  fanOut.onIdle((groupId) => {
    if (!open.has(groupId) || lingering.has(groupId)) return;
    lingering.set(
      groupId,
      setTimeout(() => {
        lingering.delete(groupId);
        if (fanOut.isWatched(groupId)) return;
        open.delete(groupId);
        beginnings.delete(groupId);
        heldEvents.forget(groupId);
        channels.unsubscribe(groupChannel(groupId));
      }, LINGER_MS),
    );
  });

  async function check(groupId: string): Promise<void> {
    try {
      await compare(groupId);
    } catch (error) {
      // One log that cannot be read keeps nobody from comparing the others.
      log.debug({ err: error, groupId }, 'unable to compare a group with its log');
    }
  }

  async function compare(groupId: string): Promise<void> {
    const before = fanOut.cursor(groupId);
    const head = await groupLog.head(groupId);
    // What moved meanwhile is alive.
    if (!head || !fanOut.isWatched(groupId) || fanOut.cursor(groupId) !== before || !isBehind(before, head)) return;
    log.debug({ groupId, ...head }, 'a group is behind its log');
    channels.renew(groupChannel(groupId));
    await settle(groupId);
  }

  async function checkAll(): Promise<void> {
    const groupIds = [...open];
    for (let start = 0; start < groupIds.length && !stopping.signal.aborted; start += CHECKS_AT_ONCE) {
      await Promise.all(groupIds.slice(start, start + CHECKS_AT_ONCE).map(check));
    }
  }

  const checks = setInterval(() => {
    if (checking) return;
    checking = true;
    checkAll()
      .catch((error: unknown) => log.debug({ err: error }, 'unable to compare groups with their logs'))
      .finally(() => {
        checking = false;
      });
  }, CHECK_INTERVAL_MS);
  checks.unref();

  return {
    receive,
    async open(groupIds) {
      await Promise.all(groupIds.map(listen));
    },
    beginsEmpty(groupId) {
      if (!fanOut.cursor(groupId)) beginnings.add(groupId);
    },
    awaitsBeginning: (groupId) => !fanOut.cursor(groupId) && beginnings.has(groupId),
    settle,
    settleAll,
    stop() {
      stopping.abort();
      clearInterval(checks);
      heldEvents.stop();
      for (const timer of lingering.values()) clearTimeout(timer);
    },
  };
}

function toOutgoing(event: JsonObject & { event: string; id: string }, position: Position | null): OutgoingEvent {
  const { event: name, ...payload } = event;
  return { event: name, id: event.id, payload, position };
}
