import type { JsonObject } from './json.ts';
import type { Position } from './positions.ts';
import { TRACEPARENT } from './traceparent.ts';

/** Returns a publisher's fields with the span that the event comes from, if there is one. It is a field beside theirs, and wins over one. */
export function withTraceparent(message: JsonObject, traceparent: string | undefined): JsonObject {
  return traceparent === undefined ? message : { ...message, [TRACEPARENT]: traceparent };
}

/** Answers the flat payload of a group's event on the socket: the publisher's fields, and the envelope over them. */
export function toWire(
  groupId: string,
  id: string,
  position: Position | null,
  message: JsonObject,
): JsonObject & { id: string; groupId: string } {
  // `event` is part of the envelope: on the socket it is the event's name, and no field.
  const { event: _, ...fields } = message;
  // Assigned, and not in a literal after a spread: V8 defines those one by one, which was a quarter of a publish in a burst.
  const wire = fields as JsonObject & { id: string; groupId: string };
  wire.id = id;
  wire.groupId = groupId;
  wire['epoch'] = position?.epoch ?? null;
  wire['seq'] = position?.seq ?? null;
  return wire;
}

const ENVELOPE_FIELDS = ['id', 'groupId', 'event', 'epoch', 'seq'] as const;

function isOther(given: unknown, own: string | number | null): boolean {
  // A number as an id becomes its decimal string, and is the same id.
  return given !== undefined && given !== own && !(typeof given === 'number' && String(given) === own);
}

/** Names the fields of a publisher's message in whose place members see the envelope's, which have other values. */
export function replacedFields(
  message: JsonObject,
  { id, groupId, event, position }: { id: string; groupId: string; event: string; position: Position | null },
): string[] {
  const own = { id, groupId, event, epoch: position?.epoch ?? null, seq: position?.seq ?? null };
  return ENVELOPE_FIELDS.filter((name) => isOther(message[name], own[name]));
}
