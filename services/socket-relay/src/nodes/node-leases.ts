import { type Logger, warnOnceEvery } from '@groupcast/service-kit';

/** Knows which relays there are. A relay that cannot renew its lease knows by its own clock when the others stop counting on it. */
export interface NodeLeases {
  /** Takes the lease: from now on the others wait for this node, so it must be ready to answer them. Goes on trying if that fails. */
  start(): Promise<void>;
  /** Whether this node's lease certainly holds, and the node knows all changes: no other node has stopped counting on it. */
  held: () => boolean;
  /** Returns every node whose lease may hold, this one included, as of now. */
  nodes(): Promise<string[]>;
  /** Another node says that it has a lease, before a renewal would show it. A node that is new is looked at: it may be a stranger. */
  noticed(other: string): void;
  /** Nodes whose leases ended lately without being given back, as of the last renewal: they were killed, or are frozen or cut off. */
  lost: () => readonly string[];
  /** Nodes of another deployment that use the same list, as of the last renewal. While they are there, this node is not to be trusted. */
  strangers: () => readonly string[];
  /** Whether some node has a monitor connected, as of the last renewal. */
  monitored: () => boolean;
  /** Tells the others, with every renewal, when the last canary of this node that came back was sent, in milliseconds of the monotonic clock. */
  showCanary(passedAt: () => number | undefined): void;
  /** Returns when the newest canary of another machine that has come back was sent, on the same clock and as of the last renewal. */
  othersCanary: () => number | undefined;
  /** Adds work that has to be done whenever there is a lease, before this node is to be trusted. It may be tried more than once. */
  beforeTrust(work: () => Promise<void>): void;
  /** Calls `listener` when the lease is lost, and when there is one again. */
  onChange(listener: (held: boolean) => void): void;
  /** Calls `listener` with all nodes whenever others have come or gone, as of the last renewal. */
  onNodes(listener: (nodes: ReadonlySet<string>) => void): void;
  /** Gives the lease back. */
  stop(): Promise<void>;
}

/**
 * Renews the lease of a node, or gives it back with 0 ms. Returns the nodes that have a lease, how many of these have a monitor, whether
 * this node's lease was still known, and the nodes of another deployment, if any. Rejects if there is no answer. `canaryAgeMs`: how long ago
 * the last canary that came back was sent, of this node, and in the answer the newest one of other machines.
 */
export type RenewLease = (
  node: string,
  ms: number,
  hasMonitors: boolean,
  canaryAgeMs?: number,
) => Promise<RenewedLease>;

export interface RenewedLease {
  nodes: string[];
  monitors: number;
  wasKnown: boolean;
  strangers?: readonly string[];
  /** Nodes whose leases ended without being given back, of the last ten minutes. */
  lost?: readonly string[];
  canaryAgeMs?: number | undefined;
}

export interface NodeLeaseOptions {
  renewLease: RenewLease;
  node: string;
  leaseMs: number;
  /** Whether this node has a monitor connected. */
  hasMonitors: () => boolean;
  log: Logger;
}

/** Renewals within one lease. */
const RENEWALS = 5;
/** Part of a lease that this node relies on: clocks run at different speeds, and a renewal takes a while. */
const SAFETY = 0.9;

export function createNodeLeases(options: NodeLeaseOptions): NodeLeases {
  const { node, leaseMs, log } = options;
  const listeners: ((held: boolean) => void)[] = [];
  const nodeListeners: ((nodes: ReadonlySet<string>) => void)[] = [];
  let known = '';
  const warn = warnOnceEvery(60_000);
  let renewedAt = Number.NEGATIVE_INFINITY;
  let monitors = 0;
  let trusted = false;
  let started = false;
  let stopped = false;
  let strangers: readonly string[] = [];
  let lost: readonly string[] = [];
  let end: NodeJS.Timeout | undefined;
  const work: (() => Promise<void>)[] = [];
  /** When each node was last seen with a lease, for a list that has lost its memory. */
  const seen = new Map<string, number>();
  let canaryPassedAt: () => number | undefined = () => undefined;
  let othersCanaryAt: number | undefined;
  let forgetfulUntil = Number.NEGATIVE_INFINITY;

  const isWithin = (): boolean => performance.now() - renewedAt < leaseMs * SAFETY;
  const held = (): boolean => trusted && isWithin();

  function tell(now: boolean): void {
    trusted = now;
    if (now) log.info('this relay has its lease');
    else if (strangers.length === 0) log.warn('this relay has lost its lease: it could not renew it for too long');
    else log.warn({ nodes: strangers }, 'this relay gives up its lease: relays of another deployment are there');
    for (const listener of listeners) listener(now);
  }

  /** A process that stood still for too long does not go on as if nothing had happened. */
  function lapse(): void {
    if (trusted && !isWithin() && !stopped) tell(false);
  }

  /**
   * The list does not know this node any more: it was lost as a whole, or this node was away for longer than a lease. Other nodes may have
   * renewed their leases until a moment ago, and not be in the list again yet.
   */
  function withForgotten(nodes: readonly string[], wasKnown: boolean): string[] {
    const now = performance.now();
    if (!wasKnown && renewedAt > Number.NEGATIVE_INFINITY) {
      forgetfulUntil = now + leaseMs;
      for (const name of seen.keys()) seen.set(name, now);
    }
    for (const name of nodes) seen.set(name, now);
    for (const [name, at] of seen) if (now - at > leaseMs) seen.delete(name);
    return now < forgetfulUntil ? [...seen.keys()] : [...nodes];
  }

  async function renew(ms: number): Promise<string[]> {
    const startedAt = performance.now();
    const passedAt = canaryPassedAt();
    const ageMs = passedAt === undefined ? undefined : Math.max(0, Math.round(startedAt - passedAt));
    const answer = await options.renewLease(node, ms, ms > 0 && options.hasMonitors(), ageMs);
    if (ms === 0) return answer.nodes;
    lapse();
    const nodes = withForgotten(answer.nodes, answer.wasKnown);
    monitors = answer.monitors;
    strangers = answer.strangers ?? [];
    lost = answer.lost ?? [];
    othersCanaryAt = answer.canaryAgeMs === undefined ? undefined : startedAt - answer.canaryAgeMs;
    renewedAt = Math.max(renewedAt, startedAt);
    clearTimeout(end);
    end = setTimeout(lapse, Math.max(0, renewedAt + leaseMs * SAFETY - performance.now()) + 1);
    end.unref();
    if (trusted && strangers.length > 0 && !stopped) tell(false);
    const names = nodes.toSorted().join(' ');
    if (names !== known) {
      known = names;
      for (const listener of nodeListeners) listener(new Set(nodes));
    }
    return nodes;
  }

  async function tick(): Promise<void> {
    lapse();
    try {
      await renew(leaseMs);
      if (!trusted && strangers.length === 0) {
        for (const step of work) await step();
        // Any renewal meanwhile may have found strangers.
        if (isWithin() && !stopped && strangers.length === 0) tell(true);
      }
    } catch (error) {
      warn('renew', (suppressed) => log.warn({ err: error, suppressed }, 'unable to renew the lease of this relay'));
    }
  }

  let ticking = false;
  let timer: NodeJS.Timeout | undefined;

  return {
    async start() {
      started = true;
      await tick();
      timer = setInterval(() => {
        if (ticking) return;
        ticking = true;
        void tick().finally(() => {
          ticking = false;
        });
      }, leaseMs / RENEWALS);
      timer.unref();
    },
    held,
    nodes: async () => renew(leaseMs),
    noticed(other) {
      const isNew = !seen.has(other);
      seen.set(other, performance.now());
      // A node without a lease of its own takes none here.
      if (isNew && started && !stopped) renew(leaseMs).catch(() => undefined);
    },
    lost: () => lost,
    strangers: () => strangers,
    monitored: () => monitors > 0,
    showCanary(passedAt) {
      canaryPassedAt = passedAt;
    },
    othersCanary: () => othersCanaryAt,
    beforeTrust: (step) => void work.push(step),
    onChange: (listener) => void listeners.push(listener),
    onNodes: (listener) => void nodeListeners.push(listener),
    async stop() {
      stopped = true;
      clearInterval(timer);
      clearTimeout(end);
      await renew(0).catch(() => undefined);
    },
  };
}
