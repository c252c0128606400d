import type { Logger } from '@groupcast/service-kit';
import type { RedisConnections } from '../redis/connections.ts';
import { createLastDeliveries } from './redis-last-deliveries.ts';
import { createSessionCopies } from './redis-session-copies.ts';
import type { OpenSessionStore } from './session-store.ts';

/** Keeps sessions in Redis: a hash for each, and one for each node with its last deliveries. */
export function openRedisSessionStore(deps: { redis: RedisConnections; log: Logger }): OpenSessionStore {
  return (holder, lastNumber) => {
    const copies = createSessionCopies({ ...deps, holder });
    const deliveries = createLastDeliveries({ ...deps, holder, lastNumber });
    return {
      keep(sessionId, source) {
        deliveries.begin();
        return copies.keep(sessionId, source);
      },
      delivered: deliveries.delivered,
      unwritten: deliveries.unwritten,
      async find(sessionId) {
        const session = await copies.read(sessionId);
        if (!session || session.holder === holder) return undefined;
        const last = await deliveries.read(session.holder, [...session.places.keys()]);
        return last && { session, last };
      },
      async stop() {
        await Promise.all([copies.stop(), deliveries.stop()]);
      },
    };
  };
}
