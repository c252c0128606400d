import { type Voice, voiceOf } from '../sessions/voices.ts';
import type { ConnectionWriter } from './connection-writer.ts';
import type { Audience } from './divide.ts';

/** The connections of a room that are told an event in the same way, so that it is encoded once for all of them. */
export interface Part {
  readonly voice: Voice;
  readonly audience: Audience<ConnectionWriter>;
}

/** Divides the connections of a room by their voices. There is one part where all speak the same dialect, and none without connections. */
export function dividedByVoice(writers: readonly ConnectionWriter[], groupId: string | undefined): readonly Part[] {
  const parts = new Map<Voice, ConnectionWriter[]>();
  for (const writer of writers) {
    const voice = voiceOf(writer.socket, groupId);
    const known = parts.get(voice);
    if (known) known.push(writer);
    else parts.set(voice, [writer]);
  }
  return [...parts].map(([voice, audience]) => ({ voice, audience }));
}
