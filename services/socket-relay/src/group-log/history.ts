import type { HistoryQuery, HistoryResult } from '@groupcast/shared';
import type { GroupLog } from './group-log.ts';

/** Reads the recent events of a group for a trusted back end. */
export interface HistoryReader {
  read(query: HistoryQuery): Promise<HistoryResult>;
}

export function createHistoryReader(groupLog: GroupLog): HistoryReader {
  return {
    async read({ groupId, since = 0, limit }) {
      const { head, floor, events, more } = await groupLog.read(groupId, since, limit);
      return { groupId, position: head, floor, events, more };
    },
  };
}
