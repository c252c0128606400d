import { toErrorBody } from '@groupcast/shared';
import type { Departures } from '../sessions/departures.ts';
import type { GroupAdmission } from './group-admission.ts';

/** The same admission, which remembers of each join that it refused why. */
export function rememberingKeptOut(
  admission: GroupAdmission,
  departures: Pick<Departures, 'keptOut'>,
): Pick<GroupAdmission, 'admitOne' | 'admitEach'> {
  return {
    async admitOne(socket, groupId) {
      try {
        await admission.admitOne(socket, groupId);
      } catch (error) {
        departures.keptOut(socket.data.session.userId, groupId, toErrorBody(error));
        throw error;
      }
    },
    async admitEach(socket, groupIds, failed) {
      const admitted = await admission.admitEach(socket, groupIds, failed);
      for (const groupId of groupIds) {
        const refusal = failed.get(groupId);
        if (refusal) departures.keptOut(socket.data.session.userId, groupId, refusal.error);
      }
      return admitted;
    },
  };
}
