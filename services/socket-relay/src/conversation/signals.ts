import { GroupcastError, MAX_SIGNAL_BYTES, type Signal } from '@groupcast/shared';
import { EVENTS_PER_UNIT, LENGTH_PER_UNIT, type UserBudgets } from '../sessions/user-budgets.ts';
import type { Transient } from '../transient/transient.ts';
import type { Audience } from './audience.ts';

/**
 * Brings signals, such as the offer of a call, from one member of a group to all connections of another, or of all others in a small group, on
 * all relays.
 */
export interface Signals {
  /**
   * Returns how many connections it has reached. Throws `INVALID_PAYLOAD` for a large group, `PAYLOAD_TOO_LARGE`, and `BROKER_UNAVAILABLE`
   * while the relay is cut off. The sender has to be a member.
   */
  send(toUserId: string | undefined, signal: Signal, exceptSocketId: string): Promise<number>;
}

/** Most connections of a group on one relay that a signal to all others reaches: each may signal to each. */
const MAX_OTHERS = 100;

export function createSignals(deps: { transient: Transient; audience: Audience; budgets: UserBudgets }): Signals {
  const { transient, audience, budgets } = deps;
  transient.on('signal', ({ toUserId, exceptSocketId, ...signal }) => {
    const { groupId, fromUserId } = signal;
    const sockets =
      toUserId === undefined
        ? audience.ofOthers(groupId, fromUserId, MAX_OTHERS)
        : audience.ofUser(groupId, toUserId, exceptSocketId);
    audience.to(sockets)?.emit('signal', signal);
    return sockets.length;
  });
  return {
    async send(toUserId, signal, exceptSocketId) {
      const bytes = Buffer.byteLength(JSON.stringify(signal.data));
      if (bytes > MAX_SIGNAL_BYTES) {
        throw new GroupcastError(
          'PAYLOAD_TOO_LARGE',
          `unable to send a signal; its data have ${bytes} bytes, at most ${MAX_SIGNAL_BYTES} are allowed`,
          { details: { bytes, maxBytes: MAX_SIGNAL_BYTES } },
        );
      }
      if (toUserId === undefined && audience.of(signal.groupId).size > MAX_OTHERS) {
        throw new GroupcastError(
          'INVALID_PAYLOAD',
          `unable to send a signal; say toUserId in a group with more than ${MAX_OTHERS} connections`,
        );
      }
      const named = toUserId === undefined ? {} : { toUserId };
      const delivered = await transient.ask('signal', { ...signal, ...named, exceptSocketId });
      // Each connection is written the data.
      budgets.of(signal.fromUserId).chargeWork(delivered * (1 / EVENTS_PER_UNIT + bytes / LENGTH_PER_UNIT));
      return delivered;
    },
  };
}
