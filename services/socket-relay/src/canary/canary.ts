import { type Logger, warnOnceEvery } from '@groupcast/service-kit';
import type { FanOut } from '../fan-out/fan-out.ts';
import type { GroupFeed } from '../feed/feed.ts';
import type { GroupLog } from '../group-log/group-log.ts';
import type { RelayMetrics } from '../metrics/relay-metrics.ts';
import type { NodeLeases } from '../nodes/node-leases.ts';
import { type CanaryVerdict, judgeCanary } from './judge-canary.ts';

/** Knows whether events come to this node, because it sends itself some. */
export interface Canary {
  /** Sends the first one, and goes on. */
  start(): void;
  verdict(): CanaryVerdict;
  stop(): void;
}

export interface CanaryOptions {
  /** How often one is sent, in milliseconds; 0 for never. */
  intervalMs: number;
  /** How long one may take, in milliseconds. */
  deadlineMs: number;
}

const EVENT = 'canary';
/** Canaries in a row that have to fail. */
const FAILURES = 2;

/** The group of a node's canaries. No id of a group has such a first character, so nobody can join it or broadcast to it. */
export function canaryGroup(node: string): string {
  return `!canary:${node}`;
}

const LOST = {
  'fails-alone':
    'the canaries of this relay do not come back, and those of others do: it is unready, and events may come to its members late or not at all',
  'fails-everywhere':
    'the canaries of this relay do not come back, and no other relay is known to do better: events may come to members late or not at all',
} as const;

/**
 * Sends an event through the path of all events, to a group of this node's own: into the group log, over the channel where there is one,
 * through the feed to the fan-out, where nothing is left but the sockets.
 */
export function createCanary(
  deps: {
    node: string;
    cluster: {
      groupLog: Pick<GroupLog, 'append'>;
      feed: Pick<GroupFeed, 'open' | 'receive' | 'comesBack'>;
      leases: Pick<NodeLeases, 'showCanary' | 'othersCanary'>;
      /** Names what fails while this node is cut off from the others. No canary can pass then. */
      failing(): string[];
    };
    fanOut: Pick<FanOut, 'addReceiver'>;
    /** While this node is emptied, others should not count on it. */
    drain: { readonly active: boolean };
    metrics: Pick<RelayMetrics, 'canarySeconds' | 'canaryFailures'>;
    log: Logger;
  },
  { intervalMs, deadlineMs }: CanaryOptions,
): Canary {
  const { cluster, fanOut, drain, metrics, log } = deps;
  const { groupLog, feed, leases } = cluster;
  const groupId = canaryGroup(deps.node);
  const warn = warnOnceEvery(60_000);
  /** Those on their way, by id. */
  const sent = new Map<string, { at: number; deadline: NodeJS.Timeout }>();
  /** When those that failed since the last one came back were sent, the last `FAILURES` of them. */
  let failed: number[] = [];
  let passedAt: number | undefined;
  let timer: NodeJS.Timeout | undefined;

  const isJoined = (): boolean => cluster.failing().length === 0;

  function take(id: string): number | undefined {
    const canary = sent.get(id);
    clearTimeout(canary?.deadline);
    sent.delete(id);
    return canary?.at;
  }

  function verdict(): CanaryVerdict {
    if (failed.length < FAILURES || !isJoined()) return 'passes';
    return judgeCanary({ failsSince: failed[0], othersPassedAt: leases.othersCanary() });
  }

  function pass(id: string): void {
    const at = take(id);
    if (at === undefined) return;
    metrics.canarySeconds.set((performance.now() - at) / 1_000);
    if (failed.length >= FAILURES) log.info('a canary of this relay has come back');
    failed = [];
    passedAt = at;
  }

  function fail(id: string, error?: unknown): void {
    const at = take(id);
    // While this node is cut off from the others, that is what `/readyz` names.
    if (at === undefined || !isJoined()) return;
    metrics.canaryFailures.inc();
    // A later one has come back meanwhile.
    if (passedAt !== undefined && at < passedAt) return;
    failed = [...failed, at].slice(-FAILURES);
    const state = verdict();
    if (state === 'passes') log.debug({ err: error, groupId }, 'a canary has not come back');
    else warn(state, (suppressed) => log.error({ err: error, code: 'CANARY', state, suppressed }, LOST[state]));
  }

  async function send(): Promise<void> {
    if (!isJoined()) return;
    const id = crypto.randomUUID();
    // After a process has stood still, what has arrived meanwhile is read first.
    const deadline = setTimeout(() => setImmediate(() => fail(id)), deadlineMs);
    sent.set(id, { at: performance.now(), deadline: deadline.unref() });
    try {
      await feed.open([groupId]);
      const outcome = await groupLog.append({ groupId, id, event: EVENT, message: {}, isBrief: true });
      if (feed.comesBack || outcome.outcome !== 'appended') return;
      feed.receive(groupId, { event: EVENT, id, payload: {}, position: outcome.position });
    } catch (error) {
      fail(id, error);
    }
  }

  return {
    start() {
      if (intervalMs === 0) return;
      fanOut.addReceiver(groupId, ({ id }) => pass(id));
      leases.showCanary(() => (drain.active ? undefined : passedAt));
      void send();
      timer = setInterval(() => void send(), intervalMs).unref();
    },
    verdict,
    stop() {
      clearInterval(timer);
      for (const id of sent.keys()) take(id);
    },
  };
}
