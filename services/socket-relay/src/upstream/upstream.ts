import type { StopStack } from '@groupcast/service-kit';
import type { RelayConfig } from '../config.ts';
import type { GroupLog } from '../group-log/group-log.ts';
import type { RelayServer } from '../sessions/session.ts';
import { type ApiClient, createApiClient } from './api-client.ts';
import type { CallWitnesses } from './calls.ts';
import { createHistoryFill, type HistoryFill } from './history-fill.ts';
import { createLastSeen, type LastSeen } from './last-seen.ts';

/** Events that the API is asked for to fill the empty log of one group. */
const MAX_FILL_EVENTS = 1_000;

/** The parts that ask the API; none of them is there without one. */
export interface Upstream {
  api?: ApiClient;
  fill?: HistoryFill;
  lastSeen?: LastSeen;
}

/** Pushes how the client is stopped. */
export function openUpstream(
  { apiUrl, relaySecrets, history, maxPayloadBytes }: RelayConfig,
  deps: CallWitnesses & { groupLog: GroupLog; io: RelayServer },
  stops: StopStack,
): Upstream {
  if (apiUrl === undefined) return {};
  const fillEvents = Math.min(MAX_FILL_EVENTS, history.size);
  const api = createApiClient(deps, { apiUrl, secret: relaySecrets.secret, fillEvents, maxPayloadBytes });
  stops.push(() => api.stop());
  const lastSeen = createLastSeen({ api, ...deps });
  stops.push(async () => lastSeen.stop());
  return { api, fill: createHistoryFill({ api, ...deps }), lastSeen };
}
