import type { JsonValue } from '@groupcast/shared';
import type { GroupId, UserId } from '../api/api.ts';
import { idOf, isSeq } from '../base/parse.ts';
import { unreachable } from '../errors.ts';
import type { ConnectionStatus } from './connection-status.ts';

/** Sends a signal to the windows of another member of a group. */
export type PeerSignal = (
  groupId: GroupId,
  toUserId: UserId,
  kind: string,
  data: JsonValue,
) => Promise<{ delivered: number }>;

export function createPeerSignal(status: Pick<ConnectionStatus, 'link'>): PeerSignal {
  return async (groupId, toUserId, kind, data) => {
    const { link } = status;
    if (!link) throw unreachable('unable to send a signal; there is no connection');
    const signal = { groupId: idOf(groupId), toUserId: String(toUserId), kind, data };
    const { delivered } = await link.ask('signal', signal);
    return { delivered: isSeq(delivered, 0) ? delivered : 0 };
  };
}
