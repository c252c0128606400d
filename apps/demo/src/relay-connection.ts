import type { Answer, ClientEvents, GroupPosition, RelayEvents, SessionEnding } from '@groupcast/shared';
import { io, type Socket } from 'socket.io-client';

const FIRST_DELAY_MS = 1_000;
const LONGEST_DELAY_MS = 8_000;
const ACK_TIMEOUT_MS = 10_000;

export type ConnectionState = 'connecting' | 'connected' | 'reconnecting' | 'offline';

export interface ConnectionView {
  state: ConnectionState;
  /** Why it is not connected, for people. */
  detail?: string;
}

export interface RelayConnectionDeps {
  fetchToken: () => Promise<{ token: string; relayUrl: string }>;
  onConnection: (view: ConnectionView) => void;
  /** `first`: the complete list, as it comes once after every connect; otherwise groups that were added. */
  onJoined: (groups: GroupPosition[], first: boolean) => void;
  onLeft: (groupIds: string[]) => void;
  /** Every other event, unparsed. */
  onEvent: (name: string, payload: unknown) => void;
}

export interface RelayConnection {
  start: () => void;
  /** Connects at once if it is waiting or gave up. */
  retryNow: () => void;
  stop: () => void;
}

/**
 * A connection that comes back. Socket.IO's own reconnection is off, because it stays down after a refusal by the
 * relay and after a disconnect by the server: here one timer serves every cause, waits as long as `session-ending`
 * asked, and each attempt brings a fresh connection token. Only `next: "stop"` ends it.
 */
export function createRelayConnection(deps: RelayConnectionDeps): RelayConnection {
  let socket: Socket<RelayEvents, ClientEvents> | undefined;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let connecting = false;
  let stopped = false;
  let everConnected = false;
  let failures = 0;
  let awaitingFirstJoined = false;
  let ending: SessionEnding | undefined;
  let detail: string | undefined;

  async function connect(): Promise<void> {
    if (connecting || stopped) return;
    connecting = true;
    clearTimeout(timer);
    show();
    try {
      const { token, relayUrl } = await deps.fetchToken();
      if (stopped) return;
      socket ??= open(relayUrl);
      socket.auth = { token };
      socket.connect();
    } catch (error) {
      failed(error);
    }
  }

  function open(relayUrl: string): Socket<RelayEvents, ClientEvents> {
    const opened: Socket<RelayEvents, ClientEvents> = io(relayUrl, { autoConnect: false, reconnection: false });
    opened.on('connect', () => {
      connecting = false;
      everConnected = true;
      failures = 0;
      detail = undefined;
      awaitingFirstJoined = true;
      deps.onConnection({ state: 'connected' });
    });
    opened.on('connect_error', failed);
    opened.on('disconnect', () => {
      connecting = false;
      const told = ending;
      ending = undefined;
      if (told?.next === 'stop') halt(told.message);
      else retryLater(told?.retryAfterMs, told?.message);
    });
    opened.on('session-ending', (payload) => {
      ending = payload;
      if (payload.next === 'refresh-token') void refreshToken(opened);
    });
    opened.on('joined-groups', ({ groups }) => {
      deps.onJoined(groups, awaitingFirstJoined);
      awaitingFirstJoined = false;
    });
    opened.on('left-groups', ({ groups }) => deps.onLeft(groups));
    opened.onAny(deps.onEvent);
    return opened;
  }

  /** If this fails, the relay closes the connection when the token expires, and the next one has a fresh token. */
  async function refreshToken(on: Socket<RelayEvents, ClientEvents>): Promise<void> {
    try {
      const { token } = await deps.fetchToken();
      const answer = (await on.timeout(ACK_TIMEOUT_MS).emitWithAck('refresh-token', { token })) as Answer<object>;
      if (answer.ok) ending = undefined;
    } catch (error) {
      console.warn('unable to refresh the connection token', error);
    }
  }

  function failed(error: unknown): void {
    connecting = false;
    const retryAfterMs = (error as { retryAfterMs?: number } | undefined)?.retryAfterMs;
    retryLater(retryAfterMs, error instanceof Error ? error.message : undefined);
  }

  function retryLater(delay = backoff(), why?: string): void {
    if (stopped) return;
    detail = why;
    failures += 1;
    clearTimeout(timer);
    timer = setTimeout(() => void connect(), delay);
    show();
  }

  /** Doubles from one second to eight; the random half keeps a crowd of clients from coming back at once. */
  function backoff(): number {
    return Math.min(LONGEST_DELAY_MS, FIRST_DELAY_MS * 2 ** failures) * (0.5 + Math.random() / 2);
  }

  function halt(why: string): void {
    clearTimeout(timer);
    deps.onConnection({ state: 'offline', detail: why });
  }

  function show(): void {
    const waiting: ConnectionState = everConnected ? 'reconnecting' : 'connecting';
    const state = navigator.onLine ? waiting : 'offline';
    deps.onConnection(detail === undefined ? { state } : { state, detail });
  }

  return {
    start: () => void connect(),
    retryNow: () => {
      if (!socket?.connected) void connect();
    },
    stop: () => {
      stopped = true;
      clearTimeout(timer);
      socket?.off();
      socket?.offAny();
      socket?.disconnect();
    },
  };
}
