import type { CallState, EndReason } from './call-states.ts';

/** The call as it is shown. After its end everything but the streams stays, until there is another call. */
export interface CallSnapshot {
  state: CallState;
  /** Why it has ended. */
  reason: EndReason | null;
  groupId: string | null;
  /** The other user's id. */
  peer: string | null;
  direction: 'outgoing' | 'incoming' | null;
  video: boolean;
  muted: Readonly<Record<'audio' | 'video', boolean>>;
  localStream: MediaStream | null;
  remoteStream: MediaStream | null;
  /** When both were first connected, by the clock's `now`: by default `performance.now()`. */
  startedAt: number | null;
}

export const NO_CALL: CallSnapshot = {
  state: 'idle',
  reason: null,
  groupId: null,
  peer: null,
  direction: null,
  video: false,
  muted: { audio: false, video: false },
  localStream: null,
  remoteStream: null,
  startedAt: null,
};
