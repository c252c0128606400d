import type { BroadcastCommand } from '@groupcast/shared';
import { senderOf } from '../sessions/message-sender.ts';

/** The line of the log for a broadcast. Support looks first at the number at its end. `noun`: the word of its people for a group. */
export function broadcastLine(
  { event, groupId, message }: BroadcastCommand,
  connections: number,
  noun: string,
): string {
  const name = event === 'new-message' ? 'New message' : event;
  const sender = senderOf(message);
  const from = sender === undefined ? '' : ` from ${sender}`;
  return `${name} in ${noun} ${groupId}${from}. Broadcast to ${connections} connections.`;
}
