import {
  awaitDeliverySchema,
  COMMAND_ENDPOINTS,
  GroupcastError,
  getPresenceSchema,
  historySchema,
  parsePayload,
  parseRelayCommand,
  type RelayCommandKind,
  refreshTokenSchema,
  traceQuerySchema,
} from '@groupcast/shared';
import type { Gateway } from '../broadcast/gateway.ts';
import type { HistoryReader } from '../group-log/history.ts';
import type { Presence } from '../presence/presence.ts';
import type { RelaySocket, ServiceSession } from '../sessions/session.ts';
import type { SessionExpiry } from '../sessions/session-expiry.ts';
import type { DeliveryWaits } from '../tracing/await-delivery.ts';
import type { Traces } from '../tracing/traces.ts';
import type { Authenticator } from './authenticate.ts';
import type { EventHandler } from './event-router.ts';

/** Handles the events of connections of `type: "api"` and `"monitor"`. */
export interface ServiceHandlers {
  handlersFor(socket: RelaySocket): Readonly<Record<string, EventHandler<RelaySocket>>>;
}

export function createServiceHandlers(deps: {
  gateway: Gateway;
  history: HistoryReader;
  presence: Presence;
  traces: Traces;
  deliveryWaits: DeliveryWaits;
  authenticator: Authenticator;
  expiry: SessionExpiry;
}): ServiceHandlers {
  const refresh: EventHandler<RelaySocket> = async (socket, payload) => {
    const session = socket.data.session as ServiceSession;
    const { token } = parsePayload(refreshTokenSchema, payload, 'refresh-token');
    const claims = await deps.authenticator.service(token, session.role);
    if (claims.subject !== session.claims.subject) {
      throw new GroupcastError('FORBIDDEN', 'unable to refresh; the token is of another service');
    }
    session.claims = claims;
    deps.expiry.watch(socket);
    return { expiresAt: claims.expiresAt, groups: [] };
  };

  const api: Record<string, EventHandler<RelaySocket>> = {
    'refresh-token': refresh,
    'api-get-history': async (_socket, payload) =>
      deps.history.read(parsePayload(historySchema, payload, 'api-get-history')),
    'api-get-presence': async (_socket, payload) => {
      const { groupId } = parsePayload(getPresenceSchema, payload, 'api-get-presence');
      return { groupId, ...(await deps.presence.get(groupId)) };
    },
  };
  /** The batch under way on each connection: a broadcast after it is not in the log before it. */
  const batches = new WeakMap<RelaySocket, Promise<unknown>>();
  for (const kind of Object.keys(COMMAND_ENDPOINTS) as RelayCommandKind[]) {
    const isBroadcast = kind === 'broadcast' || kind === 'batch';
    api[COMMAND_ENDPOINTS[kind].event] = async (socket, payload) => {
      const command = parseRelayCommand(kind, payload);
      // Commands about users do not wait until members have the events of their groups.
      const before = isBroadcast ? batches.get(socket) : undefined;
      const arrival = deps.gateway.arrive();
      let onLogged = (): void => undefined;
      const logged = new Promise<void>((resolve) => {
        onLogged = resolve;
      });
      const execute = async (): Promise<object> => deps.gateway.execute(command, arrival, onLogged);
      const result = before ? before.then(execute) : execute();
      // Broadcasts after a batch do not wait for those whom its items are expected to reach.
      if (kind === 'batch') batches.set(socket, Promise.race([logged, result.then(onLogged, onLogged)]));
      return result;
    };
  }
  const trace: EventHandler<RelaySocket> = async (_socket, payload) =>
    deps.traces.trace(parsePayload(traceQuerySchema, payload, 'api-get-trace'));
  api['api-get-trace'] = trace;
  api['api-await-delivery'] = async (_socket, payload) => ({
    delivery: await deps.deliveryWaits.await(parsePayload(awaitDeliverySchema, payload, 'api-await-delivery')),
  });
  const monitor: Record<string, EventHandler<RelaySocket>> = { 'refresh-token': refresh, 'api-get-trace': trace };

  return {
    handlersFor: (socket) => ((socket.data.session as ServiceSession).role === 'api' ? api : monitor),
  };
}
