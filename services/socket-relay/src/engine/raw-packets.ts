import type { ErrorBody } from '@groupcast/shared';

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
  const head = text.slice(1, start);
  const id = Number.parseInt(head.slice(head.indexOf('-') + 1), 10);
  return { id, data: JSON.parse(text.slice(start), head.includes('-') ? withoutAttachments : undefined) as unknown };
}

/** Reads what Socket.IO's encoder wrote for the only namespace there is, by the digit of its type. */
export function readSentPacket(text: string): SentPacket | undefined {
  const { id, data } = partsOf(text);
  switch (text[0]) {
    case '0':
      return { kind: 'connected', socketId: (data as { sid: string }).sid };
    case '1':
      return { kind: 'disconnected' };
    // Those of 5 and 6 have attachments.
    case '2':
    case '5': {
      const [name, payload] = data as [string, unknown];
      return { kind: 'event', name, payload };
    }
    case '3':
    case '6':
      return { kind: 'answer', id, answer: (data as unknown[])[0] };
    case '4': {
      const { message, data: body } = data as { message: string; data?: ErrorBody };
      return { kind: 'refused', error: body ?? { code: 'INVALID_PAYLOAD', message, retryable: false } };
    }
    default:
      return undefined;
  }
}
