export type SessionNext = 'refresh-token' | 'reconnect' | 'stop';

/** The relay sends this before it closes a connection on purpose: the reason, and what the client does next and when. */
export interface SessionEnding {
  code: string;
  message: string;
  next: SessionNext;
  retryAfterMs: number;
}

/** Whether the relay delivers. While it does not, clients ask the API for news; missed events come before `live` is true again. */
export interface ServiceState {
  live: boolean;
}

export type LeftReason = 'member-removed' | 'token-refreshed' | 'group-limit';
