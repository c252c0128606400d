import { type Logger, warnOnceEvery } from '@groupcast/service-kit';
import type { BroadcastCommand, BroadcastResult } from '@groupcast/shared';
import type { FanOut } from '../fan-out/fan-out.ts';
import type { RelayMetrics } from '../metrics/relay-metrics.ts';
import type { MonitorFeed } from '../monitor/monitor-feed.ts';
import { broadcastLine } from './broadcast-line.ts';

/** Returns what tells log, monitor and metrics of each broadcast that was taken, and once a minute and group what is odd about those. */
export function createReports(deps: {
  fanOut: Pick<FanOut, 'nounOf'>;
  monitor: MonitorFeed;
  metrics: Pick<RelayMetrics, 'deliveries' | 'withoutRecipients'>;
  log: Logger;
  /** The level of the log line that every broadcast leaves. */
  level: 'info' | 'debug';
}): (command: BroadcastCommand, result: BroadcastResult) => void {
  const { fanOut, monitor, metrics, log, level } = deps;
  const warnOnce = warnOnceEvery(60_000);

  function warn(code: string, { groupId, id }: BroadcastResult, said: string, logged = said): void {
    warnOnce(`${code} ${groupId}`, (suppressed) => {
      log.warn({ code, groupId, id, suppressed }, logged);
      monitor.publish({ kind: 'warning', code, message: said, groupId });
    });
  }

  function warnOf(result: BroadcastResult): void {
    const { groupId, warnings } = result;
    const hint = result.hint === undefined ? '' : `; ${result.hint}`;
    if (warnings.includes('UNDECIDED_MEMBERS')) {
      const said = `connections whose tokens name group ${groupId} are not in it, until the API at API_URL can be asked`;
      warn('UNDECIDED_MEMBERS', result, said);
    }
    if (warnings.includes('UNPOSITIONED')) {
      const said = `group ${groupId} has positions that are the API's, and an event came without one: it is shown once, and never recovered`;
      warn('UNPOSITIONED', result, said);
    }
    if (warnings.includes('FIELDS_REPLACED')) {
      warn('FIELDS_REPLACED', result, `a broadcast to group ${groupId} is not shown as it is${hint}`);
    }
    if (warnings.includes('FIELDS_IGNORED')) {
      warn('FIELDS_IGNORED', result, `a broadcast to group ${groupId} says more than is read${hint}`);
    }
    if (!warnings.includes('NO_RECIPIENTS')) return;
    metrics.withoutRecipients.inc();
    const logged = `broadcast to 0 connections; nobody has joined group ${groupId}${hint}`;
    warn('NO_RECIPIENTS', result, `nobody has joined the group${hint}`, logged);
  }

  return (command, result) => {
    const { groupId, event } = command;
    const { id, position, duplicate, recipients, warnings } = result;
    monitor.publish({
      kind: 'broadcast',
      groupId,
      id,
      event,
      position,
      connections: recipients.connections,
      duplicate,
    });
    if (duplicate) {
      log.debug({ groupId, id, event }, 'broadcast was a duplicate');
      return;
    }
    metrics.deliveries.inc(recipients.connections);
    log[level](
      { groupId, id, event, seq: position?.seq },
      broadcastLine(command, recipients.connections, fanOut.nounOf(groupId)),
    );
    if (warnings.length > 0) warnOf(result);
  };
}
