import { GroupcastError, groupRoom, isJson, leaveGroupSchema, parsePayload } from '@groupcast/shared';
import type { Sender } from '../fan-out/sender.ts';
import type { GroupEntry } from '../membership/group-entry.ts';
import type { UserSocket } from '../sessions/session.ts';
import { dialectOf } from '../sessions/voices.ts';
import type { EventHandler } from './event-router.ts';

type CommandName = 'open-group' | 'close-group' | 'acknowledge';

/**
 * Handles the commands that only dialects use: a group is opened and closed on a connection, which stays in it, and something is answered
 * that is carried out elsewhere.
 */
export function createOpenedGroups(deps: {
  entry: Pick<GroupEntry, 'admitOne' | 'recover'>;
  sender: Pick<Sender, 'forget'>;
}): Readonly<Record<CommandName, EventHandler<UserSocket>>> {
  function set(socket: UserSocket, groupId: string, isOpen: boolean): void {
    const { session } = socket.data;
    if (session.opened?.has(groupId) === isOpen || (!isOpen && !session.opened)) return;
    if (isOpen) session.opened = (session.opened ?? new Set()).add(groupId);
    else session.opened?.delete(groupId);
    session.copy?.changed();
    if (dialectOf(socket).tellsViewersApart) deps.sender.forget(groupRoom(groupId));
  }

  return {
    'open-group': async (socket, payload) => {
      const { groupId } = parsePayload(leaveGroupSchema, payload, 'open-group');
      await deps.entry.admitOne(socket, groupId);
      // At once: what has waited for the join may close it again.
      set(socket, groupId, true);
      // Those of its token may not be live yet.
      const answer = await deps.entry.recover(socket, groupId, undefined);
      return () => {
        answer();
        return { groupId };
      };
    },
    'close-group': (socket, payload) => {
      const { groupId } = parsePayload(leaveGroupSchema, payload, 'close-group');
      set(socket, groupId, false);
      return { groupId };
    },
    acknowledge: (_socket, payload) => {
      // It may be told again, as the answer.
      if (payload === undefined || isJson(payload)) return {};
      throw new GroupcastError(
        'INVALID_PAYLOAD',
        'unable to acknowledge; the payload must be JSON of 64 levels at most',
      );
    },
  };
}
