import { isRaw } from '../engine/raw-frames.ts';
import { type Voice, voiceOf } from '../sessions/voices.ts';
import type { ConnectionWriter } from './connection-writer.ts';
import type { Audience } from './divide.ts';

/** The connections of a room that are told an event in the same way, so that it is encoded once for all of them. */
export interface Part {
  readonly voice: Voice;
  /** They came through the raw door. */
  readonly isRaw: boolean;
  readonly audience: Audience<ConnectionWriter>;
}

/** Divides the connections of a room by their voices. There is one part where all speak the same dialect, and none without connections. */
export function dividedByVoice(writers: readonly ConnectionWriter[], groupId: string | undefined): readonly Part[] {
  const parts: { voice: Voice; isRaw: boolean; audience: ConnectionWriter[] }[] = [];
  for (const writer of writers) {
    const voice = voiceOf(writer.socket, groupId);
    const raw = isRaw(writer.socket.conn);
    const known = parts.find((part) => part.voice === voice && part.isRaw === raw);
    if (known) known.audience.push(writer);
    else parts.push({ voice, isRaw: raw, audience: [writer] });
  }
  return parts;
}
