import { type Broadcaster, type ConnectionState, createBroadcaster } from '@groupcast/broadcaster';
import { type Logger, warnOnceEvery } from '@groupcast/service-kit';
import type { GroupcastError } from '@groupcast/shared';

/** The calls that routes make, beside what the dispatcher sends: nothing that they tell has to arrive. */
export type RelayPort = Pick<
  Broadcaster,
  'connected' | 'disconnectUsers' | 'updateCursors' | 'getPresence' | 'getTrace' | 'awaitDelivery'
>;

/** The API's connection to the relay. */
export interface RelayConnection {
  broadcaster: Broadcaster;
  /** How the connection stands. */
  state(): ConnectionState;
  /** Calls `listener` whenever the connection has come up. */
  onConnected(listener: () => void): void;
  /** Calls `listener` whenever the connection is lost. */
  onDisconnected(listener: () => void): void;
}

/** The advice for an operator, by the relay's reason for refusing the API's service token. */
export function adviceFor({ code, details }: GroupcastError): string {
  const fault = details?.['fault'];
  if (fault === 'iat' || fault === 'nbf' || fault === 'exp') return 'compare the clocks of the two machines';
  if (code !== 'SERVICE_TOKEN_INVALID') return 'see its reason';
  return 'compare RELAY_SERVICE_SECRET on both sides';
}

/** Connects to the relay, for as long as it takes, and says in the log how that goes. */
export function connectToRelay(
  { log }: { log: Logger },
  options: { relayUrl: string; serviceSecret: string; name: string; timeoutMs: number },
): RelayConnection {
  const { relayUrl, ...rest } = options;
  const warn = warnOnceEvery(60_000);
  const connected = new Set<() => void>();
  const disconnected = new Set<() => void>();
  let current: ConnectionState = { name: 'connecting' };
  const broadcaster = createBroadcaster({
    ...rest,
    url: relayUrl,
    onStateChange(state) {
      current = state;
      if (state.name === 'connected') {
        log.info({ relayUrl }, 'connected to the relay');
        for (const listener of connected) listener();
      } else if (state.name === 'refused') {
        warn('refused', (suppressed) => {
          log.error(
            { err: state.error, relayUrl, suppressed },
            `the relay refuses this API: ${adviceFor(state.error)}`,
          );
        });
      } else if (state.name === 'unreachable') {
        warn('unreachable', (suppressed) => {
          log.warn(
            { reason: state.error.message, relayUrl, suppressed },
            'the relay cannot be reached: messages are saved, and will be relayed; check RELAY_URL if this lasts',
          );
        });
      } else if (state.name === 'disconnected') {
        log.warn({ relayUrl }, 'lost the relay: messages are saved, and will be relayed when it is back');
        for (const listener of disconnected) listener();
      }
    },
  });
  return {
    broadcaster,
    state: () => current,
    onConnected(listener) {
      connected.add(listener);
    },
    onDisconnected(listener) {
      disconnected.add(listener);
    },
  };
}
