import { groupOfRoom } from '@groupcast/shared';
import type { RelayMetrics } from '../metrics/relay-metrics.ts';
import type { Notices } from '../monitor/notices.ts';
import type { RelayServer } from '../sessions/session.ts';
import type { Part } from './parts.ts';

/**
 * Counts events that connections are not told because their dialect has no name for them, and reports one that nobody in its group is told
 * for that reason.
 */
export function createUnsaidEvents(deps: {
  metrics: Pick<RelayMetrics, 'unsaid'>;
  notices: Notices;
}): (room: string, event: string, unsaid: readonly Part[], isToldToNobody: boolean) => void {
  return (room, name, unsaid, isToldToNobody) => {
    const dialects = [...new Set(unsaid.map(({ voice }) => voice.dialect.name))];
    for (const dialect of dialects) deps.metrics.unsaid.inc({ dialect });
    const groupId = groupOfRoom(room);
    if (!isToldToNobody || groupId === undefined) return;
    const those = dialects.join(', ');
    deps.notices({
      topic: 'unsaid events',
      name: `${name} ${those}`,
      code: 'UNSAID_EVENT',
      message: () =>
        `the event "${name.slice(0, 64)}" of group "${groupId}" is told to nobody: all its connections speak ${those}, and no such dialect has a name for it; put it under "events" there, as [] if it is meant to be left out`,
      groupId,
    });
  };
}

/** Does the same for events to users and other rooms, which do not come by the fan-out. */
export function watchUnsaid(io: RelayServer, deps: { metrics: Pick<RelayMetrics, 'unsaid'>; notices: Notices }): void {
  io.of('/').adapter.on('unsaid', (event: string, dialect: string) => {
    deps.metrics.unsaid.inc({ dialect });
    const name = event.slice(0, 64);
    deps.notices({
      topic: 'unsaid events',
      name: `${name} ${dialect}`,
      code: 'UNSAID_EVENT',
      message: `the event "${name}" is not told to connections that speak ${dialect}, which has no name for it; put it under "events" there, as [] if it is meant to be left out`,
    });
  });
}
