import { Encoder, PacketType } from 'socket.io-parser';
import type { WireEvent } from './sender.ts';

/** Engine.IO's type of a packet that carries a message. */
const MESSAGE = '4';
/** FIN and the opcode of a text frame (RFC 6455, section 5.2). */
const FINAL_TEXT = 0x81;

/** One event, encoded once for all connections. */
export interface EncodedEvent extends WireEvent {
  /** Socket.IO packets: one, and one more per binary attachment. */
  packets: unknown[];
  /** The WebSocket frame of the Engine.IO packet; an event with attachments has none. */
  frame: Buffer | undefined;
  /** The options that Socket.IO's adapter hands to an engine with the packets. */
  engineOptions: { preEncoded: true; wsPreEncodedFrame?: readonly Buffer[] };
}

/** Makes a text frame of a server: final, not masked, not compressed. */
export function textFrame(text: string): Buffer {
  const length = Buffer.byteLength(text);
  const header = length < 126 ? 2 : length < 65_536 ? 4 : 10;
  const frame = Buffer.allocUnsafeSlow(header + length);
  frame[0] = FINAL_TEXT;
  if (header === 2) {
    frame[1] = length;
  } else if (header === 4) {
    frame[1] = 126;
    frame.writeUInt16BE(length, 2);
  } else {
    frame[1] = 127;
    frame.writeBigUInt64BE(BigInt(length), 2);
  }
  frame.write(text, header);
  return frame;
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
