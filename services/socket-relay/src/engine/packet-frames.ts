import { textFrames } from './text-frames.ts';

/** A packet of Engine.IO. */
export interface Packet {
  type: string;
  data?: unknown;
  options?: object | undefined;
}

/** Types of Engine.IO's packets, as they are on the wire. */
const TYPES: Readonly<Record<string, string>> = {
  open: '0',
  close: '1',
  ping: '2',
  pong: '3',
  message: '4',
  upgrade: '5',
  noop: '6',
};
/** Longest texts of several packets that are copied into one buffer, in UTF-16 code units. */
const MAX_JOINED_LENGTH = 16_384;

/**
 * The frames of all packets in one buffer, where they are short texts, as nearly all are: ws makes two buffers of each. Nothing where one of them is
 * binary, long or encoded already: those are for Engine.IO's parser, which writes the others in the same way.
 */
export function framesOf(packets: readonly Packet[]): Buffer | undefined {
  const texts: string[] = [];
  let length = 0;
  for (const { type, data, options } of packets) {
    if (options && 'wsPreEncodedFrame' in options) return undefined;
    const code = TYPES[type];
    if (code === undefined || (data !== undefined && typeof data !== 'string')) return undefined;
    const text = data === undefined ? code : code + data;
    length += text.length;
    if (length > MAX_JOINED_LENGTH) return undefined;
    texts.push(text);
  }
  return textFrames(texts);
}
