import { MONITOR_ROOM, type MonitorEvent, type MonitorSnapshot } from '@groupcast/shared';
import { isUserSocket, type RelayServer } from '../relay-server.ts';

type WithoutOrigin<T> = T extends unknown ? Omit<T, 'at' | 'node'> : never;

/** What monitors see. Costs nothing while nobody watches. */
export interface MonitorFeed {
  publish(event: WithoutOrigin<MonitorEvent>): void;
  snapshot(): MonitorSnapshot;
}

export function createMonitorFeed(io: RelayServer, node: string): MonitorFeed {
  const namespace = io.of('/');
  return {
    publish(event) {
      if (!namespace.adapter.rooms.has(MONITOR_ROOM)) return;
      io.to(MONITOR_ROOM).emit('monitor-event', { ...event, at: Date.now(), node });
    },
    snapshot() {
      const connections: MonitorSnapshot['connections'] = [];
      for (const socket of namespace.sockets.values()) {
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
