import { type Logger, warnOnceEvery } from '@groupcast/service-kit';
import { type MemberChange, toWire } from '@groupcast/shared';
import type { AppendOutcome, GroupLog, LogInput } from '../../group-log/group-log.ts';
import { answerCalls, type Endpoint, type Remote, remoteOf } from '../../ipc/endpoint.ts';
import { encodeMessage, groupChannel, type PublishedEvent } from '../../wire-format.ts';
import type { BusCalls, WorkerCalls } from './bus-calls.ts';
import { createBusChanges } from './bus-changes.ts';

/** Keeps in the primary process everything that the workers of one machine share. It is gone when that process ends, and the workers end with it. */
export interface Bus {
  /** Serves a worker. Call the result once the worker's process has ended: nobody counts on it any more. */
  serve(endpoint: Endpoint): () => void;
  stop(): Promise<void>;
}

/** Characters that may wait for a worker that does not read. Beyond it the worker is sent nothing more: it reads the log later. */
const MAX_BACKLOG = 32 * 1024 * 1024;
/** How long changes of presence are gathered, in milliseconds. */
const PRESENCE_FLUSH_MS = 50;
/** How long users of a dead worker count as present, in milliseconds. By then they are back on another worker, or gone. */
const LINGER_MS = 2_000;

interface Member {
  worker: Remote<WorkerCalls>;
  node: string;
  channels: Set<string>;
  hasLease: boolean;
  hasMonitors: boolean;
  follows: boolean;
  backlog: number;
}

export interface BusOptions {
  groupLog: GroupLog;
  /** How long changes of members are kept, and most users of all of them together, for workers that start. */
  memoryMs: number;
  maxEntries: number;
  log: Logger;
}

export function createBus(options: BusOptions): Bus {
  const { groupLog, log } = options;
  const members = new Set<Member>();
  const listeners = new Map<string, Set<Member>>();
  const changes = createBusChanges(options);
  /** Numbers of connections by group, node and user. */
  const present = new Map<string, Map<string, Map<string, number>>>();
  const presenceChanged = new Set<string>();
  let flushing: NodeJS.Timeout | undefined;
  const lingering = new Set<NodeJS.Timeout>();
  const warn = warnOnceEvery(60_000);

  function publish(channel: string, text: string): number {
    const those = listeners.get(channel) ?? new Set<Member>();
    for (const member of those) {
      if (member.backlog > MAX_BACKLOG) {
        warn(member.node, (suppressed) => log.warn({ node: member.node, suppressed }, 'a worker reads too slowly'));
        continue;
      }
      member.backlog += text.length;
      member.worker.post('message', [channel, text], () => {
        member.backlog -= text.length;
      });
    }
    return those.size;
  }

  function subscribe(member: Member, channel: string): void {
    member.channels.add(channel);
    listeners.set(channel, (listeners.get(channel) ?? new Set()).add(member));
  }

  function unsubscribe(member: Member, channel: string): void {
    member.channels.delete(channel);
    const those = listeners.get(channel);
    those?.delete(member);
    if (those?.size === 0) listeners.delete(channel);
  }

  /** Appends as `redis-group-log.ts` does: a kept event goes to every node that listens, in the form they all know. */
  async function append(node: string, input: LogInput): Promise<AppendOutcome> {
    const outcome = await groupLog.append(input);
    if (outcome.outcome !== 'appended' && outcome.outcome !== 'unpositioned') return outcome;
    const { groupId, id, event: name, message, exceptSocketId = '', exceptUserId = '' } = input;
    const position = outcome.outcome === 'appended' ? outcome.position : null;
    const event = toWire(groupId, id, position, message) as PublishedEvent;
    event.event = name;
    const text = encodeMessage({ type: 'event', node, event, exceptSocketId, exceptUserId });
    return { ...outcome, nodes: publish(groupChannel(groupId), text) };
  }

  function appendChange(change: MemberChange): string {
    const stored = changes.append(change);
    for (const { follows, worker } of members) if (follows) worker.tell('change', stored);
    return stored.id;
  }

  function presenceIn(groupId: string): void {
    presenceChanged.add(groupId);
    flushing ??= setTimeout(() => {
      flushing = undefined;
      for (const changed of presenceChanged)
        publish(groupChannel(changed), encodeMessage({ type: 'presence-changed', node: 'primary' }));
      presenceChanged.clear();
    }, PRESENCE_FLUSH_MS);
  }

  function setPresence(node: string, groupId: string, userId: string, connections: number): void {
    const nodes = present.get(groupId) ?? new Map<string, Map<string, number>>();
    const users = nodes.get(node) ?? new Map<string, number>();
    if (connections > 0) present.set(groupId, nodes.set(node, users.set(userId, connections)));
    else users.delete(userId);
    if (users.size === 0) nodes.delete(node);
    if (nodes.size === 0) present.delete(groupId);
    presenceIn(groupId);
  }

  function readPresence(groupId: string): Map<string, number> {
    const all = new Map<string, number>();
    for (const users of present.get(groupId)?.values() ?? []) {
      for (const [userId, connections] of users) all.set(userId, (all.get(userId) ?? 0) + connections);
    }
    return all;
  }

  function dropPresence(node: string): void {
    for (const [groupId, nodes] of present) {
      if (!nodes.delete(node)) continue;
      if (nodes.size === 0) present.delete(groupId);
      presenceIn(groupId);
    }
  }

  function renew(
    member: Member,
    ms: number,
    hasMonitors: boolean,
  ): { nodes: string[]; monitors: number; wasKnown: boolean } {
    member.hasLease = ms > 0;
    member.hasMonitors = ms > 0 && hasMonitors;
    const holders = [...members].filter(({ hasLease }) => hasLease);
    return {
      nodes: holders.map(({ node }) => node),
      monitors: holders.filter(({ hasMonitors: watches }) => watches).length,
      // The primary never forgets a worker while it lives.
      wasKnown: true,
    };
  }

  return {
    serve(endpoint) {
      const member: Member = {
        worker: remoteOf<WorkerCalls>(endpoint),
        node: '',
        channels: new Set(),
        hasLease: false,
        hasMonitors: false,
        follows: false,
        backlog: 0,
      };
      members.add(member);
      // All of them: a call that is not answered here does not compile.
      const calls: BusCalls = {
        node(node) {
          member.node = node;
        },
        subscribe: (channel) => subscribe(member, channel),
        unsubscribe: (channel) => unsubscribe(member, channel),
        publish,
        renew: (ms, hasMonitors) => renew(member, ms, hasMonitors),
        append: async (input) => append(member.node, input),
        head: async (groupId) => groupLog.head(groupId),
        read: async (...args) => groupLog.read(...args),
        backfill: async (...args) => groupLog.backfill(...args),
        'append-change': appendChange,
        'follow-changes'() {
          member.follows = true;
          return changes.past();
        },
        'set-presence': (groupId, userId, connections) => setPresence(member.node, groupId, userId, connections),
        'read-presence': readPresence,
        'drop-presence': () => dropPresence(member.node),
      };
      answerCalls<BusCalls>(endpoint, calls);
      return () => {
        members.delete(member);
        for (const channel of member.channels) unsubscribe(member, channel);
        const timer = setTimeout(() => {
          lingering.delete(timer);
          dropPresence(member.node);
        }, LINGER_MS);
        lingering.add(timer);
      };
    },
    async stop() {
      clearTimeout(flushing);
      for (const timer of lingering) clearTimeout(timer);
      await groupLog.close();
    },
  };
}
