/** Types of Socket.IO's packets. */
export const PACKET = {
  connect: 0,
  disconnect: 1,
  event: 2,
  ack: 3,
  refusal: 4,
  binaryEvent: 5,
  binaryAck: 6,
} as const;

/** One packet of Socket.IO, as it is on the wire. */
export interface Frame {
  type: number;
  namespace: string;
  /** Number of the acknowledgement that is asked for, or that this is. */
  ack: number | undefined;
  data: unknown;
  bytes: number;
}

const HEADER = /^([0-6])(?:\d+-)?(?:(\/[^,]*),)?(\d+)?/;

/** Reads a packet of the default parser; another parser's, or the attachment of a binary event, is none. */
export function parseFrame(text: unknown): Frame | undefined {
  const [header = '', type, namespace = '/', ack] = (typeof text === 'string' && HEADER.exec(text)) || [];
  if (type === undefined) return undefined;
  const rest = (text as string).slice(header.length);
  try {
    return {
      type: Number(type),
      namespace: namespace.split('?')[0] as string,
      ack: ack === undefined ? undefined : Number(ack),
      data: rest === '' ? undefined : JSON.parse(rest),
      bytes: new Blob([text as string]).size,
    };
  } catch {
    return undefined;
  }
}
