import type { MonitorEvent, MonitorGroup, MonitorNode, MonitorState, MonitorUser } from '@groupcast/shared';
import type { OtherNodes } from '../cluster/cluster.ts';
import type { MonitorFeed } from '../monitor/monitor-feed.ts';
import { createGroupActivity } from './group-activity.ts';
import { type NodeState, SAMPLE_MS } from './node-state.ts';

/** Groups that the page shows. */
const SHOWN_GROUPS = 20;
/** How long one answer serves everybody who asks, in milliseconds. */
const STATE_MS = 1_000;

/** All relays, as the page for operators shows them. */
export interface AllNodes {
  state(samples: number): Promise<MonitorState>;
  user(userId: string): Promise<MonitorUser>;
  /** Notes an event for the groups of the last minute. */
  note: (event: MonitorEvent) => void;
}

function addUp(nodes: readonly MonitorNode[]): Map<string, number> {
  const sizes = new Map<string, number>();
  for (const { groupId, connections } of nodes.flatMap(({ topGroups }) => topGroups)) {
    sizes.set(groupId, (sizes.get(groupId) ?? 0) + connections);
  }
  return sizes;
}

export function createAllNodes(deps: {
  node: string;
  own: NodeState;
  monitor: Pick<MonitorFeed, 'connectionsOf'>;
  others: OtherNodes | undefined;
}): AllNodes {
  const { node, own, monitor, others } = deps;
  const activity = createGroupActivity();
  const cached = new Map<number, { at: number; state: Promise<MonitorState> }>();
  others?.answer('monitor-node', async ({ samples }) => own.describe(samples));
  others?.answer('monitor-user', async ({ userId }) => ({ node, connections: monitor.connectionsOf(userId) }));

  /** Asks all other nodes. Those that do not answer are named, and so is nobody where their names cannot be known. */
  async function survey<T extends { node: string }>(
    ask: (nodes: OtherNodes) => Promise<T[]>,
  ): Promise<{ answers: T[]; silent: string[] }> {
    if (!others) return { answers: [], silent: [] };
    const [names, answers] = await Promise.all([
      others.names().catch((): string[] => []),
      ask(others).catch((): T[] => []),
    ]);
    const answered = new Set(answers.map((answer) => answer.node));
    return { answers, silent: names.filter((name) => !answered.has(name)) };
  }

  function groupsOf(nodes: readonly MonitorNode[]): MonitorGroup[] {
    const sizes = addUp(nodes);
    const active = activity.lastMinute();
    const ids = new Set([...active.keys(), ...sizes.keys()]);
    const groups = [...ids].map((groupId) => ({
      groupId,
      connections: sizes.get(groupId) ?? 0,
      ...(active.get(groupId) ?? { events: 0, deliveries: 0 }),
    }));
    return groups
      .toSorted((a, b) => b.deliveries - a.deliveries || b.events - a.events || b.connections - a.connections)
      .slice(0, SHOWN_GROUPS);
  }

  async function readState(samples: number): Promise<MonitorState> {
    const [mine, { answers, silent }] = await Promise.all([
      own.describe(samples),
      survey(async (nodes) => nodes.survey('monitor-node', { samples })),
    ]);
    const nodes = [mine, ...answers].toSorted((a, b) => (a.node < b.node ? -1 : 1));
    return { at: mine.at, node, nodes, silent, groups: groupsOf(nodes), sampleMs: SAMPLE_MS };
  }

  return {
    async state(samples) {
      const known = cached.get(samples);
      const at = performance.now();
      if (known && at - known.at < STATE_MS) return known.state;
      const state = readState(samples);
      cached.clear();
      cached.set(samples, { at, state });
      return state;
    },
    async user(userId) {
      const { answers, silent } = await survey(async (nodes) => nodes.survey('monitor-user', { userId }));
      return { userId, nodes: [{ node, connections: monitor.connectionsOf(userId) }, ...answers], silent };
    },
    note: activity.note,
  };
}
