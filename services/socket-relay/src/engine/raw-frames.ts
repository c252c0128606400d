import { randomUUID } from 'node:crypto';
import type { DoorCommand, DoorFrame } from '@groupcast/dialects';
import { isPacketValid, type Packet, PacketType } from 'socket.io-parser';

export { isRaw } from '../sessions/transport.ts';

/** The door's own frames: every other type is the name of an event. */
export const AUTH = 'auth' satisfies DoorCommand;
export const PING = 'ping' satisfies DoorCommand;

type Fields = Readonly<Record<string, unknown>>;

/** How a raw connection names things: a dialect has other names for the door's own frames, and for those of its client. */
export interface RawVoice {
  /** Type and fields of a client's frame, in the relay's vocabulary if it is one for the door. */
  incoming(type: string, fields: Fields): { type: string; fields: Fields };
  /** The frames that stand for one of the door's own, as types and payloads. */
  outgoing(name: DoorFrame, payload: Fields): readonly (readonly [string, unknown])[];
}

export const PLAIN_VOICE: RawVoice = {
  incoming: (type, fields) => ({ type, fields }),
  outgoing: (name, payload) => [[name, payload]],
};

/** The event that says why a command without a number was refused. */
export const REFUSED = 'error';
/** The event by which the door brings the token of a second `auth`. No client knows its name, so none can send it. */
export const RENEW = `@refresh-token ${randomUUID()}`;

/** Longest type of a frame, in UTF-16 code units. */
const MAX_TYPE_LENGTH = 128;
/** Largest id of a client. The next one is the relay's own. */
const MAX_ID = Number.MAX_SAFE_INTEGER - 1;
/** The id under which the relay itself asks for the answer to a frame of a client. */
export const OWN_ID = Number.MAX_SAFE_INTEGER;

export interface RawFrame {
  type: string;
  /** The client wants an acknowledgement under this number. */
  id: number | undefined;
  /** All fields but the type. */
  fields: Fields;
}

/** Reads a client's frame, whose cost has been checked. Returns a sentence that says what is wrong with one that is none. */
export function readRawFrame(text: string): RawFrame | string {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return 'it is not JSON';
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return 'it is no JSON object';
  const { type, ...fields } = value as Record<string, unknown>;
  if (typeof type !== 'string' || type === '') return 'it has no "type", a text';
  if (type.length > MAX_TYPE_LENGTH) return `its "type" is longer than ${MAX_TYPE_LENGTH} characters`;
  const { id } = fields;
  const isId = Number.isSafeInteger(id) && (id as number) >= 0 && (id as number) <= MAX_ID;
  return { type, id: isId ? (id as number) : undefined, fields };
}

/**
 * The packet of Socket.IO that a frame stands for. Its payload are all fields but type and id; a field `payload` that is alone is the
 * payload itself. Undefined where Socket.IO keeps the name of the event to itself.
 */
export function eventPacket({ type, id, fields }: RawFrame): Packet | undefined {
  const { id: _id, ...rest } = fields;
  const others = id === undefined ? fields : rest;
  const names = Object.keys(others);
  const payload = names.length === 1 && names[0] === 'payload' ? others['payload'] : others;
  const data = names.length === 0 ? [type] : [type, payload];
  const packet = { type: PacketType.EVENT, nsp: '/', data, ...(id === undefined ? {} : { id }) };
  return isPacketValid(packet) ? packet : undefined;
}

/**
 * The text of a frame: its type, and the fields of its payload beside it. A payload that is no object, or has a type of its own, is in the
 * field `payload`.
 */
export function rawText(name: string, payload: unknown): string {
  const type = JSON.stringify(name);
  // Undefined for what JSON has no text for.
  const text = JSON.stringify(payload) as string | undefined;
  if (text === undefined) return `{"type":${type}}`;
  if (!text.startsWith('{') || Object.hasOwn(payload as object, 'type')) return `{"type":${type},"payload":${text}}`;
  return text === '{}' ? `{"type":${type}}` : `{"type":${type},${text.slice(1)}`;
}
