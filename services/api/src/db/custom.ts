import { GroupcastError, type JsonObject, MAX_CUSTOM_BYTES } from '@groupcast/shared';

/** Throws `PAYLOAD_TOO_LARGE` where the application's own fields have more bytes of UTF-8 JSON than a message, a group or a user may keep. */
export function assertCustomFits(custom: JsonObject | null | undefined): void {
  if (!custom) return;
  const bytes = Buffer.byteLength(JSON.stringify(custom));
  if (bytes <= MAX_CUSTOM_BYTES) return;
  throw new GroupcastError(
    'PAYLOAD_TOO_LARGE',
    `unable to save; custom has ${bytes} bytes, at most ${MAX_CUSTOM_BYTES} are allowed`,
    { details: { bytes, maxBytes: MAX_CUSTOM_BYTES } },
  );
}
