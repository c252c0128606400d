import { groupRoom, type Position, userRoom } from '@groupcast/shared';
import type { RelayServer } from '../relay-server.ts';
import type { FanOut } from './fan-out.ts';

/** Fan-out through Socket.IO's own adapter: one encode per event, one write per member. */
export function createSocketIoFanOut(io: RelayServer): FanOut {
  const { adapter } = io.of('/');
  const delivered = new Map<string, Position>();
  adapter.on('delete-room', (room: string) => delivered.delete(room));

  function countExcepted(room: ReadonlySet<string>, socketId: string | undefined, userId: string | undefined): number {
    const sockets = new Set(userId === undefined ? [] : adapter.rooms.get(userRoom(userId)));
    if (socketId !== undefined) sockets.add(socketId);
    let count = 0;
    for (const id of sockets) if (room.has(id)) count += 1;
    return count;
  }

  return {
    deliver(groupId, { event, payload, position }, { exceptSocketId, exceptUserId } = {}) {
      const name = groupRoom(groupId);
      const room = adapter.rooms.get(name);
      if (!room) return 0;
      const count = room.size - countExcepted(room, exceptSocketId, exceptUserId);
      let target = io.to(name);
      if (exceptSocketId !== undefined) target = target.except(exceptSocketId);
      if (exceptUserId !== undefined) target = target.except(userRoom(exceptUserId));
      // The publisher chose the name; the map's types know only the relay's own events.
      target.emit(event, payload as never);
      if (position) delivered.set(name, position);
      return count;
    },
    memberCount(groupId) {
      return adapter.rooms.get(groupRoom(groupId))?.size ?? 0;
    },
    delivered(groupId) {
      return delivered.get(groupRoom(groupId)) ?? null;
    },
  };
}
