import type { Logger } from '@groupcast/service-kit';
import type { RedisConnections } from '../redis/connections.ts';
import { createRedisLastDeliveries } from './redis-last-deliveries.ts';
import { createRedisSessionCopies } from './redis-session-copies.ts';
import type { OpenSessionStore } from './session-store.ts';

/** Keeps sessions in Redis: a hash for each, and one for each node with its last deliveries. */
export function openRedisSessionStore(deps: { redis: RedisConnections; log: Logger }): OpenSessionStore {
  return ({ prefix: holder, key }, lastNumber) => {
    const copies = createRedisSessionCopies({ ...deps, holder });
    const deliveries = createRedisLastDeliveries({ ...deps, holder, key, lastNumber });
    return {
      keep(...kept) {
        deliveries.begin();
        return copies.keep(...kept);
      },
      delivered: (...delivery) => deliveries.delivered(...delivery),
      unwritten: () => deliveries.unwritten(),
      async find(sessionId) {
        const found = await copies.read(sessionId);
        if (!found?.session || found.holder === holder) return found && { holder: found.holder };
        const { session } = found;
        const last = await deliveries.read(session.holder, [...session.places.keys()]);
        return { holder: session.holder, ...(last ? { kept: { session, last } } : {}) };
      },
      async stop() {
        await Promise.all([copies.stop(), deliveries.stop()]);
      },
    };
  };
}
