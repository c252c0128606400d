import type { Heartbeat } from '../engine/heartbeat.ts';
import type { Deliveries } from '../fan-out/deliveries.ts';
import type { FanOut } from '../fan-out/fan-out.ts';
import type { Sender } from '../fan-out/sender.ts';
import type { GroupLog } from '../group-log/group-log.ts';
import type { UndecidedClaims } from '../membership/undecided-claims.ts';
import type { RelayMetrics } from '../metrics/relay-metrics.ts';
import type { OtherNodes } from '../nodes/node-requests.ts';
import type { Presence } from '../presence/presence.ts';
import type { ConnectionIndex } from '../sessions/connection-index.ts';
import type { Departures } from '../sessions/departures.ts';
import type { RelayServer } from '../sessions/session.ts';
import { type Acceptances, createAcceptances } from './acceptances.ts';
import { createDeliveryWaits, type DeliveryWaits } from './await-delivery.ts';
import { createStateOf } from './connection-state.ts';
import { createNodeTraces } from './node-trace.ts';
import { createTraces, type Traces } from './traces.ts';

/** Knows where an event is, and whom it has reached. Nobody pays for it who does not ask. */
export interface Tracing {
  traces: Traces;
  deliveryWaits: DeliveryWaits;
  acceptances: Acceptances;
}

export function createTracing(deps: {
  node: string;
  io: RelayServer;
  fanOut: Pick<FanOut, 'cursor'>;
  deliveries: Deliveries;
  sender: Pick<Sender, 'handedUpTo'>;
  heartbeat: Heartbeat;
  groupLog: Pick<GroupLog, 'read' | 'head'>;
  presence: Pick<Presence, 'usersHere'>;
  connections: ConnectionIndex;
  departures: Departures;
  undecided: UndecidedClaims;
  otherNodes: OtherNodes;
  metrics: RelayMetrics;
  hintAt: (groupId: string) => string | undefined;
}): Tracing {
  const stateOf = createStateOf(deps);
  const nodeTraces = createNodeTraces({ ...deps, stateOf });
  const acceptances = createAcceptances();
  return {
    traces: createTraces({ ...deps, nodeTraces, acceptances }),
    deliveryWaits: createDeliveryWaits({ ...deps, nodeTraces, stateOf }),
    acceptances,
  };
}
