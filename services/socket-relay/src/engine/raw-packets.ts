import type { ErrorBody } from '@groupcast/shared';
import { PacketType } from 'socket.io-parser';

/** A packet of Socket.IO's server, read from its text. */
export type SentPacket =
  | { kind: 'connected'; socketId: string }
  | { kind: 'refused'; error: ErrorBody }
  | { kind: 'event'; name: string; payload: unknown }
  | { kind: 'answer'; id: number; answer: unknown }
  | { kind: 'disconnected' };

/** Attachments have no place in a frame of JSON. */
function withoutAttachments(_key: string, value: unknown): unknown {
  return (value as { _placeholder?: unknown } | null)?._placeholder === true ? null : value;
}

/** The data of a packet begins with its JSON; type, attachments and id come before it. */
function partsOf(text: string): { id: number; data: unknown } {
  const start = text.search(/[[{"]/);
  if (start < 0) return { id: Number.NaN, data: undefined };
  const isBinary = text.startsWith(String(PacketType.BINARY_EVENT)) || text.startsWith(String(PacketType.BINARY_ACK));
  const head = text.slice(1, start);
  const id = Number.parseInt(isBinary ? head.slice(head.indexOf('-') + 1) : head, 10);
  return { id, data: JSON.parse(text.slice(start), isBinary ? withoutAttachments : undefined) as unknown };
}

/** Reads what Socket.IO's encoder wrote for the only namespace there is. */
export function readSentPacket(text: string): SentPacket | undefined {
  const { id, data } = partsOf(text);
  switch (Number(text[0])) {
    case PacketType.CONNECT:
      return { kind: 'connected', socketId: (data as { sid: string }).sid };
    case PacketType.CONNECT_ERROR: {
      const { message, data: body } = data as { message: string; data?: ErrorBody };
      return { kind: 'refused', error: body ?? { code: 'INVALID_PAYLOAD', message, retryable: false } };
    }
    case PacketType.EVENT:
    case PacketType.BINARY_EVENT: {
      const [name, payload] = data as [string, unknown];
      return { kind: 'event', name, payload };
    }
    case PacketType.ACK:
    case PacketType.BINARY_ACK:
      return { kind: 'answer', id, answer: (data as unknown[])[0] };
    case PacketType.DISCONNECT:
      return { kind: 'disconnected' };
    default:
      return undefined;
  }
}
