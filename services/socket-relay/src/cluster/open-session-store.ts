import type { StopStack } from '@groupcast/service-kit';
import type { Deliveries } from '../fan-out/deliveries.ts';
import type { SessionStore } from '../nodes/session-store.ts';
import type { Marks } from '../sessions/marks.ts';
import type { Offsets } from '../sessions/offsets.ts';
import type { Cluster } from './cluster.ts';

/** Keeps the sessions of stock clients where they outlive this relay, and follows its deliveries; `undefined` where nothing outlives it. */
export function openSessionStore(
  cluster: Pick<Cluster, 'openSessionStore'>,
  wayOut: { offsets: Offsets; marks: Marks; deliveries: Deliveries; hasOffsets: boolean },
  stops: StopStack,
): SessionStore | undefined {
  const { offsets, marks, deliveries, hasOffsets } = wayOut;
  const store = hasOffsets ? cluster.openSessionStore?.(offsets, () => marks.last) : undefined;
  if (!store) return undefined;
  stops.push(async () => store.stop());
  deliveries.follow(({ groupId, number, position }) => store.delivered(groupId, number, position));
  offsets.sayUnwritten(() => store.unwritten());
  return store;
}
