/** The `body` of an answer of `fetch`, with only the methods used here, so that this file needs neither Node nor a browser. */
export interface ByteStream {
  getReader(): {
    read(): Promise<{ done: boolean; value?: Uint8Array | undefined }>;
    cancel(reason?: unknown): Promise<unknown>;
  };
}

/** An answer is larger than its reader takes. */
export class BodyTooLarge extends Error {
  override readonly name = 'BodyTooLarge';
  readonly maxBytes: number;

  constructor(maxBytes: number) {
    super(`the answer is larger than ${maxBytes} bytes`);
    this.maxBytes = maxBytes;
  }
}

/**
 * Reads a body to its end, or throws `BodyTooLarge` as soon as it has more than `maxBytes`; the rest is not read. Bytes are
 * counted after `fetch` has decompressed them. The signal of the request holds for its body as well: give it one that aborts.
 */
export async function readBytes(body: ByteStream | null, maxBytes: number): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  const reader = body?.getReader();
  for (;;) {
    const { done, value } = (await reader?.read()) ?? { done: true };
    if (done || !value) break;
    size += value.byteLength;
    if (size > maxBytes) {
      const error = new BodyTooLarge(maxBytes);
      // The connection ends with it; an error while it ends does not matter.
      reader?.cancel(error).catch(() => undefined);
      throw error;
    }
    chunks.push(value);
  }
  const bytes = new Uint8Array(size);
  let offset = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, offset);
    offset += chunk.byteLength;
  }
  return bytes;
}
