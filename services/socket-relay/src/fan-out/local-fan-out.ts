import { nativeDialect } from '@groupcast/dialects';
import { groupRoom, notifiedRoom, type Position, relationOf, userRoom } from '@groupcast/shared';
import { liveSince } from '../sessions/in-group.ts';
import type { Marks } from '../sessions/marks.ts';
import { isUserSocket, type RelayServer } from '../sessions/session.ts';
import type { Deliveries } from './deliveries.ts';
import type { DeliveryExceptions, FanOut, OutgoingEvent } from './fan-out.ts';
import { createNotifications } from './notifications.ts';
import type { Sender, WireEvent } from './sender.ts';

interface GroupCursor {
  position: Position | null;
  /** When the cursor moved last, in milliseconds of the monotonic clock; 0 once that was reported as quiet. */
  movedAt: number;
  /** Number of members who are on their way in, and need to know which events go by. */
  holds: number;
}

/** In the place of events that nobody here can be given. */
const GAP: OutgoingEvent = { event: 'group-head', id: '', payload: {}, position: null };

/** Keeps the cursor of each group, and finds its members in Socket.IO's own rooms. */
export function createLocalFanOut(
  io: RelayServer,
  { sender, deliveries, marks }: { sender: Sender; deliveries: Deliveries; marks: Marks },
  usualNoun = 'group',
  now: () => number = () => performance.now(),
): FanOut {
  const { adapter, sockets } = io.of('/');
  const notify = createNotifications(io, sender);
  /** Cursors by group. Only groups with local members, or with members on their way in, have one. */
  const cursors = new Map<string, GroupCursor>();
  let onDelivered: (groupId: string, event: OutgoingEvent) => void = () => undefined;
  const receivers = new Map<string, (event: OutgoingEvent) => void>();
  const groupIds = new Map<string, string>();
  const idleListeners: ((groupId: string) => void)[] = [];
  adapter.on('leave-room', (room: string, id: string) => {
    // Everybody is in a room of their own, until they disconnect.
    if (room === id) deliveries.forget(id);
  });
  adapter.on('delete-room', (room: string) => {
    const groupId = groupIds.get(room);
    if (groupId === undefined) return;
    groupIds.delete(room);
    if (cursors.get(groupId)?.holds === 0) forget(groupId);
  });

  function forget(groupId: string): void {
    cursors.delete(groupId);
    for (const listener of idleListeners) listener(groupId);
  }

  function exceptedMembers(room: ReadonlySet<string>, { exceptSocketId, exceptUserId }: DeliveryExceptions): string[] {
    const excepted = new Set(exceptUserId === undefined ? [] : adapter.rooms.get(userRoom(exceptUserId)));
    if (exceptSocketId !== undefined) excepted.add(exceptSocketId);
    return [...excepted].filter((id) => room.has(id));
  }

  function cursorOf(groupId: string): GroupCursor {
    const cursor = cursors.get(groupId) ?? { position: null, movedAt: 0, holds: 0 };
    cursors.set(groupId, cursor);
    return cursor;
  }

  /** Returns false if the event was handed over before. */
  function advance(groupId: string, position: Position | null): boolean {
    const cursor = cursors.get(groupId);
    if (!cursor || !position) return true;
    const relation = cursor.position ? relationOf(cursor.position, position) : 'newer';
    switch (relation) {
      case 'behind':
      case 'older':
        return false;
      case 'next':
      case 'ahead':
      case 'newer':
        cursor.position = position;
        cursor.movedAt = now();
        return true;
      default: {
        const unreachable: never = relation;
        return unreachable;
      }
    }
  }

  function deliver(groupId: string, event: OutgoingEvent, except: DeliveryExceptions = {}): number {
    const name = groupRoom(groupId);
    const room = adapter.rooms.get(name);
    if (!advance(groupId, event.position)) return 0;
    if (!room) {
      receivers.get(groupId)?.(event);
      return 0;
    }
    const excepted = exceptedMembers(room, except);
    const { event: eventName, payload, position, id } = event;
    const instead = position && { name: 'group-head', payload: { groupId, ...position, skipId: id } };
    const exceptions = excepted.length > 0 ? { socketIds: excepted, instead: instead ?? undefined } : undefined;
    const sent: WireEvent = { name: eventName, payload, number: marks.last + 1, place: [groupId, position] };
    const wordless = sender.send(name, sent, exceptions);
    // Its number comes after what was handed over before, which is all that is known to be written.
    deliveries.record(groupId, event, { ...except, ...(wordless ? { wordless } : {}) });
    notify(groupId, event, except);
    onDelivered(groupId, event);
    return room.size - excepted.length;
  }

  return {
    deliver,
    announceHead(head) {
      const name = groupRoom(head.groupId);
      // The head was read from the log meanwhile, and the last member may have gone.
      if (adapter.rooms.has(name)) sender.send(name, { name: 'group-head', payload: head });
    },
    memberCount(groupId, except = {}) {
      const room = adapter.rooms.get(groupRoom(groupId));
      return room ? room.size - exceptedMembers(room, except).length : 0;
    },
    nounOf(groupId) {
      const [noun = usualNoun, ...others] = sender.dialectsIn(groupRoom(groupId)).map((dialect) => dialect.noun);
      return others.every((other) => other === noun) ? noun : usualNoun;
    },
    wordlessFor(groupId, event, payload) {
      const dialects = new Set(sender.dialectsIn(groupRoom(groupId)));
      const names: string[] = [];
      for (const dialect of dialects) {
        // The native one has a name for everything. One that leaves the event out on purpose has said so.
        if (dialect === nativeDialect() || dialect.say(event, payload, 'viewing') !== undefined) return [];
        names.push(dialect.name);
      }
      return names;
    },
    cursor: (groupId) => cursors.get(groupId)?.position ?? null,
    enter(socketId, groupId, position) {
      const socket = sockets.get(socketId);
      if (!socket) return;
      const name = groupRoom(groupId);
      // In memory the adapter joins at once; a promise would come only from an adapter that asks others.
      void socket.join(name);
      const session = isUserSocket(socket) ? socket.data.session : undefined;
      const place = session?.groups.get(groupId);
      if (place) session?.groups.set(groupId, liveSince(place, marks.last));
      if (session?.notifies && session.viewing !== groupId) void socket.join(notifiedRoom(groupId));
      const cursor = cursorOf(groupId);
      cursor.position ??= position;
      groupIds.set(name, groupId);
      session?.copy?.moved(groupId);
    },
    hold(groupId) {
      cursorOf(groupId).holds += 1;
      return () => {
        const cursor = cursorOf(groupId);
        cursor.holds -= 1;
        if (cursor.holds === 0 && !adapter.rooms.has(groupRoom(groupId))) forget(groupId);
      };
    },
    skipTo(groupId, position) {
      const isGap = cursors.get(groupId)?.position && adapter.rooms.has(groupRoom(groupId));
      // Somebody who was here cannot be said to have read what lies in it.
      if (advance(groupId, position) && isGap) deliveries.record(groupId, GAP, {});
    },
    onDelivered(listener) {
      onDelivered = listener;
    },
    addReceiver: (groupId, receiver) => void receivers.set(groupId, receiver),
    isWatched: (groupId) => cursors.has(groupId),
    onIdle(listener) {
      idleListeners.push(listener);
    },
    takeQuiet(quietMs) {
      const quiet: string[] = [];
      for (const [groupId, cursor] of cursors) {
        if (cursor.movedAt === 0 || now() - cursor.movedAt < quietMs) continue;
        cursor.movedAt = 0;
        quiet.push(groupId);
      }
      return quiet;
    },
  };
}
