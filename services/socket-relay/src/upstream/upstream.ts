import type { StopStack } from '@groupcast/service-kit';
import type { RelayConfig } from '../config.ts';
import type { GroupLog } from '../group-log/group-log.ts';
import { type ApiClient, createApiClient } from './api-client.ts';
import type { CallWitnesses } from './calls.ts';
import { type CursorForwarder, createCursorForwarder } from './cursor-forwarder.ts';
import { createHistoryFill, type HistoryFill } from './history-fill.ts';

/** Events that the API is asked for to fill the empty log of one group. */
const MAX_FILL_EVENTS = 1_000;

/** The parts that ask the API; none of them is there without one. */
export interface Upstream {
  api?: ApiClient;
  fill?: HistoryFill;
  cursors?: CursorForwarder;
}

/** Pushes how its parts are stopped: the cursors that are left are sent before the client stops. */
export function openUpstream(
  { apiUrl, relaySecrets, history, maxPayloadBytes }: RelayConfig,
  deps: CallWitnesses & { groupLog: GroupLog },
  stops: StopStack,
): Upstream {
  if (apiUrl === undefined) return {};
  const fillEvents = Math.min(MAX_FILL_EVENTS, history.size);
  const api = createApiClient(deps, { apiUrl, secret: relaySecrets.secret, fillEvents, maxPayloadBytes });
  stops.push(() => api.stop());
  const cursors = createCursorForwarder({ api, log: deps.log });
  stops.push(async () => cursors.stop());
  return { api, cursors, fill: createHistoryFill({ api, ...deps }) };
}
