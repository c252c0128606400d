import { GroupcastError, MAX_SIGNAL_BYTES, type Signal } from '@groupcast/shared';
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

export function createSignals(deps: { transient: Transient; audience: Audience }): Signals {
  const { transient, audience } = deps;
  transient.on('signal', ({ toUserId, exceptSocketId, ...signal }) => {
    const sockets = audience.ofUser(signal.groupId, toUserId, exceptSocketId);
    for (const socket of sockets) socket.emit('signal', signal);
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
      return transient.ask('signal', { ...signal, toUserId, exceptSocketId });
    },
  };
}
