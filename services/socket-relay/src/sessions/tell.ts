import type { Said, Saying } from '@groupcast/dialects';
import type { RelayEvents } from '@groupcast/shared';
import { hasSent } from './message-sender.ts';
import type { RelaySocket } from './session.ts';
import { groupOf, isFor, voiceOf } from './voices.ts';

/** Whether the connection is told an event, among those with its voice. */
export function hears(socket: RelaySocket, saying: Saying, payload: object): boolean {
  return isFor(socket, saying) && !(saying.exceptSender && hasSent(socket, { ...payload }));
}

/** Tells the connection an event that is in its own words already. */
export function emitSaid(socket: RelaySocket, { name, payload }: Said): void {
  // A dialect chose the name; the map's types know only the relay's own events.
  socket.emit(name as never, payload as never);
}

/** Tells one connection an event, by any name, in its own words: none, one or several. Where it has none, the adapter emits `unsaid`. */
export function tellAny(socket: RelaySocket, event: string, payload: object): void {
  const { dialect, viewing } = voiceOf(socket, groupOf(payload));
  const sayings = dialect.say(event, payload, viewing);
  if (!sayings) socket.nsp.adapter.emit('unsaid', event, dialect.name);
  for (const saying of sayings ?? []) if (hears(socket, saying, payload)) emitSaid(socket, saying);
}

/** Tells one connection an event of the relay. */
export function tell<Event extends keyof RelayEvents & string>(
  socket: RelaySocket,
  event: Event,
  payload: Parameters<RelayEvents[Event]>[0] & object,
): void {
  tellAny(socket, event, payload);
}
