import type { JsonObject } from './json.ts';
import type { Position } from './positions.ts';

/** Answers the flat payload of a group's event on the socket: the publisher's fields, and the envelope over them. */
export function toWire(
  groupId: string,
  id: string,
  position: Position | null,
  message: JsonObject,
): JsonObject & { id: string; groupId: string } {
  // `event` is part of the envelope: on the socket it is the event's name, and no field.
  const { event: _, ...fields } = message;
  return { ...fields, id, groupId, epoch: position?.epoch ?? null, seq: position?.seq ?? null };
}
