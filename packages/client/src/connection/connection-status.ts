import { createStore, type OnListenerError, type Readable } from '../base/store.ts';
import type { Logger } from '../environment.ts';
import { type ConnectionEvent, type ConnectionState, nextState } from './connection-states.ts';
import type { RelayLink } from './relay-link.ts';

export interface ConnectionSnapshot {
  state: ConnectionState;
  /** Why it is not connected, or was last not: a code for programs, a text for people. */
  reason: { code: string; message: string } | null;
}

/** The state of the connection. The connection writes it, and parts that are built before the connection read it. */
export interface ConnectionStatus extends Readable<ConnectionSnapshot> {
  /** Changes the state by the table of transitions, and the reason where one is given. */
  move: (event: ConnectionEvent, reason?: ConnectionSnapshot['reason']) => void;
  /** The reason is no longer true. */
  clearReason: () => void;
  /** The link while it is open. */
  link: RelayLink | undefined;
  clear: () => void;
}

export function createConnectionStatus(
  deps: { log: Logger; onListenerError: OnListenerError },
  idleReason: ConnectionSnapshot['reason'],
): ConnectionStatus {
  const store = createStore<ConnectionSnapshot>({ state: 'idle', reason: idleReason }, deps.onListenerError);
  return {
    getSnapshot: store.getSnapshot,
    subscribe: store.subscribe,
    link: undefined,
    move(event, reason = store.getSnapshot().reason) {
      const now = store.getSnapshot();
      const state = nextState(now.state, event);
      if (state === now.state && reason === now.reason) return;
      if (state !== now.state) deps.log.debug(`connection ${now.state} -> ${state}`, { event, code: reason?.code });
      store.set({ state, reason });
    },
    clearReason: () => store.set({ state: store.getSnapshot().state, reason: null }),
    clear: store.clear,
  };
}
