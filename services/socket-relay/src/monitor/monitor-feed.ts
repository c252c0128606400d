import { MONITOR_ROOM, type MonitorEvent, type MonitorSnapshot } from '@groupcast/shared';
import { isUserSocket, type RelayServer } from '../sessions/session.ts';

type WithoutOrigin<T> = T extends unknown ? Omit<T, 'at' | 'node'> : never;

/** Shows monitors what happens on this node. It costs nothing while nobody watches, and nobody can before `attach`. */
export interface MonitorFeed {
  /** Monitors are the connections of this server that are in `MONITOR_ROOM`. */
  attach(io: RelayServer): void;
  publish(event: WithoutOrigin<MonitorEvent>): void;
  snapshot(): MonitorSnapshot;
  /** Whether a monitor is connected to this node. */
  isWatched: () => boolean;
  /** Shows an event of another node. */
  show(event: MonitorEvent): void;
  /** Hands on the events of this node while a monitor of another node wants them. */
  forwardTo: (other: { wanted: () => boolean; send: (event: MonitorEvent) => void }) => void;
}

export function createMonitorFeed(node: string): MonitorFeed {
  let namespace: ReturnType<RelayServer['of']> | undefined;
  let others: Parameters<MonitorFeed['forwardTo']>[0] | undefined;
  const isWatched = (): boolean => namespace?.adapter.rooms.has(MONITOR_ROOM) === true;

  return {
    attach(io) {
      namespace = io.of('/');
    },
    isWatched,
    publish(event) {
      const forward = others?.wanted() === true;
      if (!forward && !isWatched()) return;
      const shown: MonitorEvent = { ...event, at: Date.now(), node };
      if (isWatched()) namespace?.to(MONITOR_ROOM).emit('monitor-event', shown);
      if (forward) others?.send(shown);
    },
    show(event) {
      if (event.node !== node && isWatched()) namespace?.to(MONITOR_ROOM).emit('monitor-event', event);
    },
    forwardTo(other) {
      others = other;
    },
    snapshot() {
      const connections: MonitorSnapshot['connections'] = [];
      for (const socket of namespace?.sockets.values() ?? []) {
        if (!isUserSocket(socket)) continue;
        const { userId, groups } = socket.data.session;
        connections.push({
          socketId: socket.id,
          userId,
          transport: socket.conn.transport.name,
          groups: [...groups.keys()],
        });
      }
      return { node, at: Date.now(), connections };
    },
  };
}
