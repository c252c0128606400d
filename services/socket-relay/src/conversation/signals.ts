import { GroupcastError, MAX_SIGNAL_BYTES, type Signal } from '@groupcast/shared';
import { EVENTS_PER_UNIT, LENGTH_PER_UNIT, type UserBudgets } from '../sessions/user-budgets.ts';
import type { Transient } from '../transient/transient.ts';
import type { Audience } from './audience.ts';

/** Brings signals, such as the offer of a call, from one member of a group to all connections of another, on all relays. */
export interface Signals {
  /**
   * Returns how many connections it has reached. Throws `PAYLOAD_TOO_LARGE`, and `BROKER_UNAVAILABLE` while the relay is cut off. The sender
   * has to be a member.
   */
  send(toUserId: string, signal: Signal, exceptSocketId: string): Promise<number>;
}

export function createSignals(deps: { transient: Transient; audience: Audience; budgets: UserBudgets }): Signals {
  const { transient, audience, budgets } = deps;
  transient.on('signal', ({ toUserId, exceptSocketId, ...signal }) => {
    const sockets = audience.ofUser(signal.groupId, toUserId, exceptSocketId);
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
      const delivered = await transient.ask('signal', { ...signal, toUserId, exceptSocketId });
      // Each connection is written the data.
      budgets.of(signal.fromUserId).chargeWork(delivered * (1 / EVENTS_PER_UNIT + bytes / LENGTH_PER_UNIT));
      return delivered;
    },
  };
}
