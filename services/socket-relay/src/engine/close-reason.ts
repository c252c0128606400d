/** Longest reason that a close frame holds (RFC 6455, section 5.5), in bytes. */
const MAX_REASON_BYTES = 123;

/** The reason of a close frame. It has one byte per character, so that the text can be cut anywhere. */
export function closeReason({ code, message }: { code: string; message: string }): string {
  return `${code}: ${message}`.replaceAll(/[^\x20-\x7e]/g, "'").slice(0, MAX_REASON_BYTES);
}
