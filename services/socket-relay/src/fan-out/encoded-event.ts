import { Encoder, PacketType } from 'socket.io-parser';
import { textFrame } from '../engine/text-frames.ts';
import type { WireEvent } from './sender.ts';

/** Engine.IO's type of a packet that carries a message. */
const MESSAGE = '4';

/** One event, encoded once for all connections. */
export interface EncodedEvent extends WireEvent {
  /** Socket.IO packets: one, and one more per binary attachment. */
  packets: unknown[];
  /** The WebSocket frame of the Engine.IO packet; an event with attachments has none. */
  frame: Buffer | undefined;
  /** The options that Socket.IO's adapter hands to an engine with the packets. */
  engineOptions: { preEncoded: true; wsPreEncodedFrame?: readonly Buffer[] };
}

const encoder = new Encoder();

export function encodeEvent({ name, payload }: WireEvent): EncodedEvent {
  const packets: unknown[] = encoder.encode({ type: PacketType.EVENT, nsp: '/', data: [name, payload] });
  const [text] = packets;
  const frame = packets.length === 1 && typeof text === 'string' ? textFrame(MESSAGE + text) : undefined;
  return {
    name,
    payload,
    packets,
    frame,
    engineOptions: { preEncoded: true, ...(frame ? { wsPreEncodedFrame: [frame] } : {}) },
  };
}
