import { type Logger, warnOnceEvery } from '@groupcast/service-kit';

/** Which relays there are. A relay that cannot renew its lease knows, by its own clock, when the others stop counting on it. */
export interface NodeLeases {
  /** This node's lease holds for certain: no other node has stopped counting on it. */
  held: () => boolean;
  /** Every node whose lease holds, this one included, as of now. */
  nodes(): Promise<string[]>;
  /** Some node has a monitor connected, as of the last renewal. */
  monitored: () => boolean;
  /** Called when the lease is lost, and when there is one again. */
  onChange(listener: (held: boolean) => void): void;
  /** Called with all nodes whenever others have come or gone, as of the last renewal. */
  onNodes(listener: (nodes: ReadonlySet<string>) => void): void;
  /** Gives the lease back. */
  stop(): Promise<void>;
}

/**
 * Renews the lease of a node, or gives it back with 0 ms. Answers which nodes have one, and how many of these have a monitor. Rejects when
 * nobody answers.
 */
export type RenewLease = (
  node: string,
  ms: number,
  hasMonitors: boolean,
) => Promise<{ nodes: string[]; monitors: number }>;

export interface NodeLeaseOptions {
  renewLease: RenewLease;
  node: string;
  leaseMs: number;
  /** Does this node have a monitor connected? */
  hasMonitors: () => boolean;
  log: Logger;
}

/** Renewed so often within a lease. */
const RENEWALS = 5;
/** Clocks run at different speeds, and a renewal takes a while. */
const SAFETY = 0.9;

export async function startNodeLeases(options: NodeLeaseOptions): Promise<NodeLeases> {
  const { node, leaseMs, log } = options;
  const listeners: ((held: boolean) => void)[] = [];
  const nodeListeners: ((nodes: ReadonlySet<string>) => void)[] = [];
  let known = '';
  const warn = warnOnceEvery(60_000);
  let renewedAt = Number.NEGATIVE_INFINITY;
  let monitors = 0;
  let was = false;
  let stopped = false;

  const held = (): boolean => performance.now() - renewedAt < leaseMs * SAFETY;

  async function renew(ms: number): Promise<string[]> {
    const startedAt = performance.now();
    const { nodes, monitors: count } = await options.renewLease(node, ms, ms > 0 && options.hasMonitors());
    monitors = count;
    if (ms > 0) renewedAt = startedAt;
    const names = nodes.toSorted().join(' ');
    if (ms > 0 && names !== known) {
      known = names;
      for (const listener of nodeListeners) listener(new Set(nodes));
    }
    return nodes;
  }

  function watch(): void {
    if (held() === was || stopped) return;
    was = !was;
    if (was) log.info('this relay has its lease');
    else log.warn('this relay has lost its lease: it could not renew it for too long');
    for (const listener of listeners) listener(was);
  }

  async function tick(): Promise<void> {
    try {
      await renew(leaseMs);
    } catch (error) {
      warn('renew', (suppressed) => log.warn({ err: error, suppressed }, 'unable to renew the lease of this relay'));
    }
    watch();
  }

  await tick();
  const timer = setInterval(() => void tick(), leaseMs / RENEWALS);
  timer.unref();

  return {
    held,
    nodes: async () => renew(leaseMs),
    monitored: () => monitors > 0,
    onChange: (listener) => void listeners.push(listener),
    onNodes: (listener) => void nodeListeners.push(listener),
    async stop() {
      stopped = true;
      clearInterval(timer);
      await renew(0).catch(() => undefined);
    },
  };
}
