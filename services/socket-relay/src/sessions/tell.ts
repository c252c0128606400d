import type { Said } from '@groupcast/dialects';
import type { RelayEvents } from '@groupcast/shared';
import type { RelaySocket } from './session.ts';
import { groupOf, isFor, voiceOf } from './voices.ts';

/** Tells the connection an event that is in its own words already. */
export function emitSaid(socket: RelaySocket, { name, payload }: Said): void {
  // A dialect chose the name; the map's types know only the relay's own events.
  socket.emit(name as never, payload as never);
}

/** Tells one connection an event of the relay, in its own words: none, one or several. */
export function tell<Event extends keyof RelayEvents & string>(
  socket: RelaySocket,
  event: Event,
  payload: Parameters<RelayEvents[Event]>[0],
): void {
  const { dialect, viewing } = voiceOf(socket, groupOf(payload));
  for (const saying of dialect.say(event, payload, viewing) ?? []) {
    if (isFor(socket, saying)) emitSaid(socket, saying);
  }
}
