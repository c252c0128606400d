import type { MonitorEvent, MonitorGroup, MonitorNode, MonitorState, MonitorUser } from '@groupcast/shared';
import type { MonitorFeed } from '../monitor/monitor-feed.ts';
import type { OtherNodes } from '../nodes/node-requests.ts';
import { askOthers } from '../tracing/all-nodes.ts';
import { createGroupActivity } from './group-activity.ts';
import { type NodeState, SAMPLE_MS } from './node-state.ts';

/** Groups that the page shows. */
const SHOWN_GROUPS = 20;
/** How long other nodes may take to answer, in milliseconds. */
const ANSWER_MS = 2_000;
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
  others: OtherNodes;
}): AllNodes {
  const { node, own, monitor, others } = deps;
  const activity = createGroupActivity();
  const cached = new Map<number, { at: number; state: Promise<MonitorState> }>();
  others.answer('monitor-node', async ({ samples }) => own.describe(samples));
  others.answer('monitor-user', async ({ userId }) => ({ node, connections: monitor.connectionsOf(userId) }));

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
    const asked = { payload: { samples }, withinMs: ANSWER_MS };
    const [mine, { answers, missing }] = await Promise.all([
      own.describe(samples),
      askOthers(others, 'monitor-node', asked),
    ]);
    const nodes = [mine, ...answers].toSorted((a, b) => (a.node < b.node ? -1 : 1));
    return { at: mine.at, node, nodes, silent: missing, groups: groupsOf(nodes), sampleMs: SAMPLE_MS };
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
      const asked = { payload: { userId }, withinMs: ANSWER_MS };
      const { answers, missing } = await askOthers(others, 'monitor-user', asked);
      return { userId, nodes: [{ node, connections: monitor.connectionsOf(userId) }, ...answers], silent: missing };
    },
    note: activity.note,
  };
}
