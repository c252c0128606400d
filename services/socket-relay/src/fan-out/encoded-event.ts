import { Encoder, PacketType } from 'socket.io-parser';
import { rawText } from '../engine/raw-frames.ts';
import { textFrame } from '../engine/text-frames.ts';
import type { WireEvent } from './sender.ts';

/** Engine.IO's type of a packet that carries a message. */
const MESSAGE = '4';

/** One event, encoded once for all connections. */
export interface EncodedEvent extends WireEvent {
  /** Socket.IO packets: one, and one more per binary attachment. */
  packets: unknown[];
  /** The number of the last delivery before it. */
  before: number;
  /** The WebSocket frame of the Engine.IO packet, or of the raw door; an event with attachments has none. */
  frame: Buffer | undefined;
  /** The options that Socket.IO's adapter hands to an engine with the packets. */
  engineOptions: { preEncoded: true; wsPreEncodedFrame?: readonly Buffer[] };
}

const encoder = new Encoder();

/**
 * `isRaw`: for connections of the raw door, which have frames of their own. `before`: the number of the last delivery. `extra`: further arguments of a
 * Socket.IO event.
 */
export function encodeEvent(
  { name, payload }: WireEvent,
  isRaw = false,
  before = 0,
  extra: readonly unknown[] = [],
): EncodedEvent {
  const packets: unknown[] = encoder.encode({ type: PacketType.EVENT, nsp: '/', data: [name, payload, ...extra] });
  const [text] = packets;
  const isText = packets.length === 1 && typeof text === 'string';
  const frame = isText ? textFrame(isRaw ? rawText(name, payload) : MESSAGE + text) : undefined;
  return {
    name,
    payload,
    before,
    packets,
    frame,
    engineOptions: { preEncoded: true, ...(frame ? { wsPreEncodedFrame: [frame] } : {}) },
  };
}
