export type SessionNext = 'refresh-token' | 'reconnect' | 'stop';

/** Sent before the relay closes a connection on purpose: why, and what to do next and when. */
export interface SessionEnding {
  code: string;
  message: string;
  next: SessionNext;
  retryAfterMs: number;
}

/** Whether the relay delivers. While it does not, ask the API for news; what was missed comes before `live` is true again. */
export interface ServiceState {
  live: boolean;
}

export type LeftReason = 'member-removed' | 'token-refreshed' | 'group-limit';
