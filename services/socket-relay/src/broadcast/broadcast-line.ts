import { type BroadcastCommand, parseUserId } from '@groupcast/shared';

/** The user from whom a message is, where it says so in one of the usual ways. */
function senderOf({ senderId, sender }: Readonly<Record<string, unknown>>): string | undefined {
  const named = typeof sender === 'object' && sender !== null ? (sender as { id?: unknown; _id?: unknown }) : undefined;
  return parseUserId(senderId) ?? parseUserId(sender) ?? parseUserId(named?.id) ?? parseUserId(named?._id);
}

/** The line of the log for a broadcast. Support looks first at the number at its end. */
export function broadcastLine({ event, groupId, message }: BroadcastCommand, connections: number): string {
  const name = event === 'new-message' ? 'New message' : event;
  const sender = senderOf(message);
  const from = sender === undefined ? '' : ` from ${sender}`;
  return `${name} in group ${groupId}${from}. Broadcast to ${connections} connections.`;
}
