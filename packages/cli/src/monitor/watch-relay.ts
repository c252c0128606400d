import { warnOnceEvery } from '@groupcast/service-kit';
import {
  type Answer,
  type ClientEvents,
  type MonitorEvent,
  type MonitorSnapshot,
  type RelayEvents,
  type RelayTrace,
  relayAddress,
  type TraceQueryInput,
} from '@groupcast/shared';
import { io, type Socket } from 'socket.io-client';
import { type ConnectProblem, readCloseReason, readConnectError } from '../refusals.ts';
import { printable } from '../terminal.ts';

/** The states of the monitor's own connection. It goes on by itself after each of them. */
export type WatchState =
  | { name: 'connecting' | 'connected' }
  | { name: 'disconnected'; reason: string }
  /** The relay answered no, and said why. */
  | { name: 'refused'; code: string; message: string }
  /** Nobody answered, or not a relay. */
  | { name: 'unreachable'; reason: string };

/** The events that a monitor may send. */
interface MonitorQuestions extends Pick<ClientEvents, 'refresh-token'> {
  'api-get-trace': (input: TraceQueryInput, ack: (answer: Answer<RelayTrace>) => void) => void;
}

export interface Watch {
  /** Asks how far a message is. Rejects if there is no answer in time. */
  trace(query: TraceQueryInput): Promise<Answer<RelayTrace>>;
  close(): void;
}

/** Longer than the relay waits for other relays, in milliseconds. */
const TRACE_MS = 10_000;
const RECONNECT_MIN_MS = 250;
const RECONNECT_MAX_MS = 3_000;
/** A state that only repeats itself is told again this often. */
const REPEAT_MS = 60_000;

/**
 * One connection of `type: "monitor"` that always comes back: after a lost network, a restarted relay, and a refusal
 * (whose cause may be repaired meanwhile). `getToken` is asked on every connect and refresh.
 */
export function watchRelay(options: {
  url: string;
  getToken: () => Promise<string>;
  onState: (state: WatchState) => void;
  onSnapshot: (snapshot: MonitorSnapshot) => void;
  onEvent: (event: MonitorEvent) => void;
}): Watch {
  const { getToken, onState } = options;
  const { origin, path } = relayAddress(options.url);
  let closed = false;
  let retryTimer: NodeJS.Timeout | undefined;
  let lastState = '';
  const again = warnOnceEvery(REPEAT_MS);

  function tell(state: WatchState): void {
    const text = JSON.stringify(state);
    if (text !== lastState) onState(state);
    // The first repetition of a state starts its minute, the next one after that is told.
    else again(text, (suppressed) => suppressed > 0 && onState(state));
    lastState = text;
  }

  const socket: Socket<RelayEvents, MonitorQuestions> = io(origin, {
    path,
    transports: ['websocket'],
    forceNew: true,
    reconnectionDelay: RECONNECT_MIN_MS,
    reconnectionDelayMax: RECONNECT_MAX_MS,
    auth: (give) => {
      getToken().then(
        (token) => give({ token, type: 'monitor' }),
        // Without a token the relay refuses, which is told; the next attempt asks again.
        () => give({ type: 'monitor' }),
      );
    },
  });

  /** Socket.IO stays away for good after a refusal and after a disconnect by the server. */
  function returnLater(): void {
    if (closed || socket.active) return;
    clearTimeout(retryTimer);
    retryTimer = setTimeout(() => socket.connect(), RECONNECT_MAX_MS * (0.5 + Math.random() / 2));
  }

  function tellProblem({ code, text }: ConnectProblem): void {
    tell(code === undefined ? { name: 'unreachable', reason: text } : { name: 'refused', code, message: text });
  }

  async function refresh(): Promise<void> {
    const token = await getToken();
    socket.emit('refresh-token', { token }, (answer: Answer<object>) => {
      if (!answer.ok) tell({ name: 'refused', code: answer.error.code, message: printable(answer.error.message) });
    });
  }

  socket.on('connect', () => tell({ name: 'connected' }));
  socket.on('disconnect', (reason, details) => {
    if (closed) return;
    const told = readCloseReason(details);
    tell(told ? { name: 'refused', code: told.code, message: told.text } : { name: 'disconnected', reason });
    returnLater();
  });
  socket.on('connect_error', (error) => {
    if (closed) return;
    tellProblem(readConnectError(error));
    returnLater();
  });
  socket.on('session-ending', ({ code, message, next }) => {
    if (next !== 'refresh-token') tell({ name: 'disconnected', reason: printable(`${code}: ${message}`) });
    // Without a fresh token the relay ends the session at its expiry, and the reconnect asks for one again.
    else refresh().catch(() => undefined);
  });
  socket.on('monitor-snapshot', options.onSnapshot);
  socket.on('monitor-event', options.onEvent);
  tell({ name: 'connecting' });

  return {
    trace: async (query) => socket.timeout(TRACE_MS).emitWithAck('api-get-trace', query),
    close() {
      closed = true;
      clearTimeout(retryTimer);
      socket.close();
    },
  };
}
