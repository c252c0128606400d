import {
  MONITOR_ROOM,
  type MonitorConnection,
  type MonitorEvent,
  type MonitorSnapshot,
  type MonitorWarning,
  userRoom,
} from '@groupcast/shared';
import { isUserSocket, type RelayServer, type RelaySocket } from '../sessions/session.ts';
import { transportName } from '../sessions/transport.ts';

type WithoutOrigin<T> = T extends unknown ? Omit<T, 'at' | 'node'> : never;

/** Warnings that are kept for those who look later. */
const MAX_WARNINGS = 50;

/** Shows monitors what happens on this node. It costs nothing while nobody watches, and nobody can before `attach`. */
export interface MonitorFeed {
  /** Monitors are the connections of this server that are in `MONITOR_ROOM`. */
  attach(io: RelayServer): void;
  publish(event: WithoutOrigin<MonitorEvent>): void;
  snapshot(): MonitorSnapshot;
  /** The last warnings of this node, oldest first. */
  warnings(): MonitorWarning[];
  /** The connections of a user on this node. */
  connectionsOf(userId: string): MonitorConnection[];
  /** Calls `listener` with every event of every node, until the returned function is called. */
  listen(listener: (event: MonitorEvent) => void): () => void;
  /** Whether somebody watches on this node. */
  isWatched: () => boolean;
  /** Shows an event of another node. */
  show(event: MonitorEvent): void;
  /** Hands on the events of this node while a monitor of another node wants them. */
  forwardTo: (other: { wanted: () => boolean; send: (event: MonitorEvent) => void }) => void;
}

function describe(socket: RelaySocket | undefined): MonitorConnection[] {
  if (!socket || !isUserSocket(socket)) return [];
  const { userId, groups } = socket.data.session;
  return [{ socketId: socket.id, userId, transport: transportName(socket.conn), groups: [...groups.keys()] }];
}

export function createMonitorFeed(node: string): MonitorFeed {
  let namespace: ReturnType<RelayServer['of']> | undefined;
  let others: Parameters<MonitorFeed['forwardTo']>[0] | undefined;
  const listeners = new Set<(event: MonitorEvent) => void>();
  const kept: MonitorWarning[] = [];
  const hasMonitors = (): boolean => namespace?.adapter.rooms.has(MONITOR_ROOM) === true;
  const isWatched = (): boolean => listeners.size > 0 || hasMonitors();

  function deliver(event: MonitorEvent): void {
    if (hasMonitors()) namespace?.to(MONITOR_ROOM).emit('monitor-event', event);
    for (const listener of listeners) listener(event);
  }

  return {
    attach(io) {
      namespace = io.of('/');
    },
    isWatched,
    publish(event) {
      const forward = others?.wanted() === true;
      if (event.kind !== 'warning' && !forward && !isWatched()) return;
      const shown: MonitorEvent = { ...event, at: Date.now(), node };
      if (shown.kind === 'warning') {
        kept.push(shown);
        if (kept.length > MAX_WARNINGS) kept.shift();
      }
      deliver(shown);
      if (forward) others?.send(shown);
    },
    show(event) {
      if (event.node !== node) deliver(event);
    },
    listen(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    forwardTo(other) {
      others = other;
    },
    warnings: () => [...kept],
    connectionsOf(userId) {
      const ids = namespace?.adapter.rooms.get(userRoom(userId)) ?? [];
      return [...ids].flatMap((id) => describe(namespace?.sockets.get(id)));
    },
    snapshot() {
      const connections = [...(namespace?.sockets.values() ?? [])].flatMap((socket) => describe(socket));
      return { node, at: Date.now(), connections, warnings: [...kept] };
    },
  };
}
