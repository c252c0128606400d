/** FIN and the opcode of a text frame (RFC 6455, section 5.2). */
const FINAL_TEXT = 0x81;
const LENGTH_16 = 126;
const LENGTH_64 = 127;

function headerBytes(length: number): number {
  if (length < LENGTH_16) return 2;
  return length < 65_536 ? 4 : 10;
}

/** Writes the header of a server's text frame (final, not masked, not compressed), and returns where its text begins. */
function writeHeader(buffer: Buffer, at: number, length: number): number {
  buffer[at] = FINAL_TEXT;
  const bytes = headerBytes(length);
  if (bytes === 2) buffer[at + 1] = length;
  else if (bytes === 4) {
    buffer[at + 1] = LENGTH_16;
    buffer.writeUInt16BE(length, at + 2);
  } else {
    buffer[at + 1] = LENGTH_64;
    buffer.writeBigUInt64BE(BigInt(length), at + 2);
  }
  return at + bytes;
}

/** Makes one text frame of each text, one after the other in one buffer. */
export function textFrames(texts: readonly string[]): Buffer {
  let size = 0;
  for (const text of texts) {
    const length = Buffer.byteLength(text);
    size += headerBytes(length) + length;
  }
  const buffer = Buffer.allocUnsafe(size);
  let at = 0;
  for (const text of texts) {
    at = writeHeader(buffer, at, Buffer.byteLength(text));
    at += buffer.write(text, at);
  }
  return buffer;
}

/** Makes a text frame with memory of its own, for a text that stays. */
export function textFrame(text: string): Buffer {
  const length = Buffer.byteLength(text);
  const buffer = Buffer.allocUnsafeSlow(headerBytes(length) + length);
  buffer.write(text, writeHeader(buffer, 0, length));
  return buffer;
}
