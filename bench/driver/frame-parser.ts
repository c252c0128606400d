/** `bytes` is the reader's own buffer: the bytes from `start` to `end` hold until the call returns. */
export type OnFrame = (first: number, bytes: Buffer, start: number, end: number) => void;

const NOTHING = Buffer.alloc(0);
const SHORT_MAX = 125;
const LENGTH_16 = 126;

/**
 * Takes a server's WebSocket frames out of a stream that is cut anywhere. A frame that lies whole in one chunk is not copied.
 * `first` is the frame's first byte as it came: FIN, RSV bits and opcode. Throws on a masked frame, which no server sends.
 */
export function createFrameParser(onFrame: OnFrame): (chunk: Buffer, length: number) => void {
  /** The beginning of a frame whose end has not come yet. */
  let held = NOTHING;

  /** Returns where the first frame begins that is not all there. */
  function parse(bytes: Buffer, end: number): number {
    let at = 0;
    while (end - at >= 2) {
      let size = bytes[at + 1] ?? 0;
      let from = at + 2;
      if (size > 127) throw new Error('a server sent a masked frame');
      if (size === LENGTH_16) {
        if (end - at < 4) break;
        size = bytes.readUInt16BE(from);
        from += 2;
      } else if (size > SHORT_MAX) {
        if (end - at < 10) break;
        size = bytes.readUInt32BE(from) * 2 ** 32 + bytes.readUInt32BE(from + 4);
        from += 8;
      }
      if (from + size > end) break;
      onFrame(bytes[at] ?? 0, bytes, from, from + size);
      at = from + size;
    }
    return at;
  }

  return (chunk, length) => {
    let bytes = chunk;
    let end = length;
    if (held.length > 0) {
      bytes = Buffer.concat([held, chunk.subarray(0, length)]);
      end = bytes.length;
    }
    const at = parse(bytes, end);
    // The reader uses the chunk again, so the part that is kept is a copy.
    held = at === end ? NOTHING : Buffer.from(bytes.subarray(at, end));
  };
}

const ZERO = 0x30;
const COLON = 0x3a;
const QUOTE = 0x22;
const LETTER_Q = 0x71;
/** Most brackets that close a message after its position. */
const MAX_CLOSING = 8;
const MAX_DIGITS = 16;

const SEQ = Buffer.from('"seq":');

/** The number of a `"seq":N` that nothing but closing brackets follows; NaN where the text ends otherwise. */
function trailingSeq(bytes: Buffer, start: number, end: number): number {
  let at = end - 1;
  let digit = (bytes[at] ?? 0) - ZERO;
  for (; (digit < 0 || digit > 9) && at > end - MAX_CLOSING; digit = (bytes[at] ?? 0) - ZERO) at -= 1;
  let seq = 0;
  for (let scale = 1; digit >= 0 && digit <= 9; scale *= 10, at -= 1, digit = (bytes[at] ?? 0) - ZERO)
    seq += digit * scale;
  return at - 2 >= start && bytes[at] === COLON && bytes[at - 1] === QUOTE && bytes[at - 2] === LETTER_Q
    ? seq
    : Number.NaN;
}

/** The position of a message; NaN where it has none. Quickest where it is the last field. */
export function seqOf(bytes: Buffer, start: number, end: number): number {
  const trailing = trailingSeq(bytes, start, end);
  if (!Number.isNaN(trailing)) return trailing;
  const at = bytes.indexOf(SEQ, start);
  return at < 0 || at >= end
    ? Number.NaN
    : Number.parseInt(bytes.toString('latin1', at + SEQ.length, Math.min(end, at + SEQ.length + MAX_DIGITS)), 10);
}
