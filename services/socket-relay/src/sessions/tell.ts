import type { Said, Saying } from '@groupcast/dialects';
import type { RelayEvents } from '@groupcast/shared';
import { hasSent } from './message-sender.ts';
import { ofPart } from './offsets.ts';
import type { RelaySocket } from './session.ts';
import { isRaw } from './transport.ts';
import { dialectOf, groupOf, isFor, voiceOf } from './voices.ts';

/** Whether the connection is told an event, among those with its voice. */
export function hears(socket: RelaySocket, saying: Saying, payload: object): boolean {
  return isFor(socket, saying) && !(saying.exceptSender && hasSent(socket, { ...payload }));
}

/**
 * The arguments of an event after its payload, for a stock client that comes back with the last text that it was given: the offset, where there is
 * one, and otherwise something that hides a text which is none.
 */
export function argumentsAfter(payload: unknown, offset?: string): unknown[] {
  if (offset !== undefined) return [offset];
  return typeof payload === 'string' ? [null] : [];
}

interface Emitter {
  emit(name: string, ...values: unknown[]): unknown;
}

/**
 * Returns the offset of one of the ways in which an event is said. Everybody hears the last one that is for everybody, and a client that has heard
 * only some of those before it has neither read nor missed the event.
 */
export function offsetOf(sayings: readonly Saying[], index: number, offset: string): string {
  const last = sayings.findLastIndex(({ only, exceptSender }) => !only && !exceptSender);
  return index < last ? ofPart(offset) : offset;
}

/** Tells the connection an event that is in its own words already. `offset`: what its client has read with it. */
export function emitSaid(socket: RelaySocket, { name, payload }: Said, offset?: string): void {
  const extra = dialectOf(socket).recovers && !isRaw(socket.conn) ? argumentsAfter(payload, offset) : [];
  // A dialect chose the name; the map's types know only the relay's own events.
  (socket as unknown as Emitter).emit(name, payload, ...extra);
}

/**
 * Tells one connection an event, by any name, in its own words: none, one or several. Where it has none, the adapter emits `unsaid`. `offset`: what its
 * client has read with it.
 */
export function tellAny(socket: RelaySocket, event: string, payload: object, offset?: string): void {
  const { dialect, viewing } = voiceOf(socket, groupOf(payload));
  const sayings = dialect.say(event, payload, viewing);
  if (!sayings) socket.nsp.adapter.emit('unsaid', event, dialect.name);
  for (const [index, saying] of (sayings ?? []).entries()) {
    if (hears(socket, saying, payload)) emitSaid(socket, saying, offset && offsetOf(sayings ?? [], index, offset));
  }
}

/** Tells one connection an event of the relay. */
export function tell<Event extends keyof RelayEvents & string>(
  socket: RelaySocket,
  event: Event,
  payload: Parameters<RelayEvents[Event]>[0] & object,
): void {
  tellAny(socket, event, payload);
}
