import { notifiedRoom, userRoom } from '@groupcast/shared';
import type { RelayServer } from '../sessions/session.ts';
import type { DeliveryExceptions, OutgoingEvent } from './fan-out.ts';
import type { Sender } from './sender.ts';

/** The event that comes with a notification. */
const NOTIFIED = 'new-message';

/**
 * Sends `notification` beside a new message, to the connections of this node that asked for it (`auth.notifications`) and do not have the
 * group on screen. They are in a room of their own per group; a group without one costs a look into a map.
 */
export function createNotifications(
  io: RelayServer,
  sender: Sender,
): (groupId: string, event: OutgoingEvent, except: DeliveryExceptions) => void {
  const { adapter } = io.of('/');
  return (groupId, { event, payload }, { exceptSocketId, exceptUserId }) => {
    const room = event === NOTIFIED ? adapter.rooms.get(notifiedRoom(groupId)) : undefined;
    if (!room) return;
    const { senderId } = payload as { senderId?: unknown };
    const excepted = new Set(exceptSocketId === undefined ? [] : [exceptSocketId]);
    for (const userId of [senderId, exceptUserId]) {
      if (typeof userId !== 'string') continue;
      for (const id of adapter.rooms.get(userRoom(userId)) ?? []) excepted.add(id);
    }
    const left = [...excepted].filter((id) => room.has(id));
    const exceptions = left.length > 0 ? { socketIds: left, instead: undefined } : undefined;
    sender.send(
      notifiedRoom(groupId),
      { name: 'notification', payload: { kind: 'message', groupId, message: payload } },
      exceptions,
    );
  };
}
