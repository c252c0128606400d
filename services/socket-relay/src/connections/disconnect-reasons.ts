import { type ErrorCode, isErrorCode } from '@groupcast/shared';
import type { DisconnectReason } from 'socket.io';

/** The reasons that Socket.IO has. A new one does not compile until it is listed. */
const OF_SOCKET_IO: Readonly<Record<DisconnectReason, true>> = {
  'transport error': true,
  'transport close': true,
  'forced close': true,
  'ping timeout': true,
  'parse error': true,
  'server shutting down': true,
  'forced server close': true,
  'client namespace disconnect': true,
  'server namespace disconnect': true,
};
export const SOCKET_IO_REASONS = Object.keys(OF_SOCKET_IO) as DisconnectReason[];

/**
 * Names the reason in metrics: the code that the connection was told, or else the one that Socket.IO has. A back end disconnects users with
 * codes of its own, as many as it likes, and they would each be a series for ever: they are all `other`.
 */
export function countedReason(
  code: string | undefined,
  reason: DisconnectReason,
): ErrorCode | DisconnectReason | 'other' {
  if (code !== undefined) return isErrorCode(code) ? code : 'other';
  return Object.hasOwn(OF_SOCKET_IO, reason) ? reason : 'other';
}
