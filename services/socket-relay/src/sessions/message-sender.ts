import { parseUserId } from '@groupcast/shared';
import { isUserSocket, type RelaySocket } from './session.ts';

/** How the relay names a message that comes by socket without a name of its client's, so that a send is carried out once. */
const OF_SOCKET = /^socket-([A-Za-z0-9_-]{1,64})-\d{1,15}$/;

export function messageIdOfSocket(socketId: string, count: number): string {
  return `socket-${socketId}-${count}`;
}

/** The user from whom a message is, where it says so in one of the usual ways. */
export function senderOf({ senderId, sender }: Readonly<Record<string, unknown>>): string | undefined {
  const named = typeof sender === 'object' && sender !== null ? (sender as { id?: unknown; _id?: unknown }) : undefined;
  return parseUserId(senderId) ?? parseUserId(sender) ?? parseUserId(named?.id) ?? parseUserId(named?._id);
}

/**
 * Whether the message was sent on this connection of its sender, or on an earlier one of the same page. Where that is not known, because it came over HTTP, all connections of the
 * sender count.
 */
export function hasSent(socket: RelaySocket, message: Readonly<Record<string, unknown>>): boolean {
  if (!isUserSocket(socket) || socket.data.session.userId !== senderOf(message)) return false;
  const { clientMessageId } = message;
  const [, socketId] = (typeof clientMessageId === 'string' ? OF_SOCKET.exec(clientMessageId) : null) ?? [];
  return (
    socketId === undefined ||
    socketId === socket.id ||
    socket.data.session.comeback?.socketIds.includes(socketId) === true
  );
}
