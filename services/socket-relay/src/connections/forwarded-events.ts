import { GroupcastError, isJson, isPublishableEvent, parseId } from '@groupcast/shared';
import type { UserSocket } from '../sessions/session.ts';
import { type BackEndDeps, createBackEndQuestions } from './back-end-commands.ts';
import type { EventHandler } from './event-router.ts';

/** In place of a list: every event that the relay does not know. */
const ALL = '*';

/** The group that a payload names. */
function groupIn(payload: unknown): string | undefined {
  if (typeof payload !== 'object' || payload === null || !Object.hasOwn(payload, 'groupId')) return undefined;
  return parseId((payload as { groupId: unknown }).groupId);
}

/**
 * Returns how an event that the relay does not know is handled: the back end is asked to carry it out if `names` has it, and `undefined`
 * otherwise. A payload that names a group has to come from a connection that is in it.
 */
export function createForwarding(
  deps: BackEndDeps,
  names: readonly string[],
): (event: string) => EventHandler<UserSocket> | undefined {
  const askBackEnd = createBackEndQuestions(deps);
  const listed = new Set(names);

  return (event) => {
    if (!listed.has(event) && !(listed.has(ALL) && isPublishableEvent(event))) return undefined;
    return async (socket, payload = null) => {
      if (!isJson(payload)) {
        throw new GroupcastError('INVALID_PAYLOAD', `unable to accept "${event}"; its payload must be JSON`);
      }
      const groupId = groupIn(payload);
      return askBackEnd(socket, { event, payload, ...(groupId === undefined ? {} : { groupId }) });
    };
  };
}
