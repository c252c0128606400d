import type { Logger } from '@groupcast/service-kit';
import type { DeliveryExceptions, FanOut, OutgoingEvent } from '../fan-out/fan-out.ts';
import type { GroupLog } from '../group-log/group-log.ts';
import type { RelayMetrics } from '../metrics/relay-metrics.ts';
import type { ShardChannels } from '../nodes/channels.ts';
import { decodeGroupMessage, type EventMessage, groupChannel } from '../wire-format.ts';
import { judgeArrival } from './arrival.ts';
import { createCatchUp, toOutgoing } from './catch-up.ts';
import type { GroupFeed } from './feed.ts';
import { createHeldEvents } from './held-events.ts';
import { startLogComparison } from './log-comparison.ts';

export interface ClusterFeedDeps {
  node: string;
  fanOut: FanOut;
  groupLog: GroupLog;
  channels: ShardChannels;
  metrics: RelayMetrics;
  log: Logger;
  /** Whether other nodes count on this node to know who may see which group. */
  isTrusted: () => boolean;
  /** Is called when another node says that somebody came to the group or left it. */
  onPresence: (groupId: string) => void;
}

/** Groups that are brought to where their logs are at the same time, after an outage. */
const SETTLES_AT_ONCE = 64;
/** How soon a group that could not be brought there is tried again, in milliseconds. */
const SETTLE_RETRY_MS = 250;
/** How long after an outage all groups wait for those that cannot be brought there, in milliseconds. The comparison of all groups goes on with them. */
const SETTLE_FOR_MS = 10_000;
/** How long a group without members is listened to, in milliseconds, in case one comes back. */
const LINGER_MS = 10_000;

/**
 * Events of all nodes, in the order of the log.
 *
 *     channel, publisher ──▶ judgeArrival ──deliver──▶ fan-out ──▶ members
 *                               │                        ▲
 *                               └──hold──▶ held events ──┤ the gap has closed
 *                                             │          │
 *                                   50 ms later, or when a comparison or a new subscription says so
 *                                             ▼          │
 *                                          catch-up ─────┘ read from the log
 *
 * An event that follows the node's cursor goes on at once; one above it waits a moment for what is missing, which is then read from the
 * log. After an outage every group is compared with its log.
 */
export function createClusterFeed(deps: ClusterFeedDeps): GroupFeed {
  const { fanOut, groupLog, channels, log, metrics, isTrusted } = deps;
  const lingering = new Map<string, NodeJS.Timeout>();
  const open = new Set<string>();
  /** Groups without a cursor whose members came while the log was empty: events that were appended since are theirs. */
  const beginnings = new Set<string>();
  const catchUp = createCatchUp({
    fanOut,
    groupLog,
    metrics,
    log,
    isTrusted,
    takeBeginning: (groupId) => beginnings.delete(groupId),
    onMoved: (groupId) => release(groupId),
  });
  const heldEvents = createHeldEvents({ fanOut, onOverdue: (groupId) => catchUp.begin(groupId) });
  const comparison = startLogComparison({
    fanOut,
    groupLog,
    log,
    groups: () => [...open],
    async onBehind(groupId) {
      channels.renew(groupChannel(groupId));
      await catchUp.settle(groupId);
    },
  });
  let stopped = false;

  function receive(groupId: string, event: OutgoingEvent, except?: DeliveryExceptions): number {
    // It may be for nobody here any more, and is read from the log once that is known.
    if (!isTrusted()) return fanOut.memberCount(groupId, except);
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

  function onMessage(groupId: string, text: string): void {
    // Somebody may have been removed meanwhile. Events that are left out here are read from the log.
    if (!isTrusted()) return;
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

  /** Resolves once events from now on come in, and earlier ones have been handed on. */
  async function settleFromHere(groupId: string): Promise<boolean> {
    try {
      await subscribe(groupId);
      // A call that began before there was a lease has handed on nothing.
      await catchUp.ended(groupId);
      await catchUp.settle(groupId);
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
      for (let start = 0; start < behind.length; start += SETTLES_AT_ONCE) {
        const page = behind.slice(start, start + SETTLES_AT_ONCE).filter((groupId) => open.has(groupId));
        const settled = await Promise.all(page.map(settleFromHere));
        if (stopped || !isTrusted()) return false;
        again.push(...page.filter((_, index) => !settled[index]));
        if (settled.every(Boolean) || performance.now() <= deadline) continue;
        again.push(...behind.slice(start + SETTLES_AT_ONCE));
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
    return isTrusted();
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
      onSubscribed: () => catchUp.begin(groupId),
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

  return {
    comesBack: true,
    receive,
    async open(groupIds) {
      await Promise.all(groupIds.map(listen));
    },
    beginsEmpty(groupId) {
      if (!fanOut.cursor(groupId)) beginnings.add(groupId);
    },
    awaitsBeginning: (groupId) => !fanOut.cursor(groupId) && beginnings.has(groupId),
    settle: async (groupId) => catchUp.settle(groupId),
    settleAll,
    stop() {
      stopped = true;
      catchUp.stop();
      comparison.stop();
      heldEvents.stop();
      for (const timer of lingering.values()) clearTimeout(timer);
    },
  };
}
