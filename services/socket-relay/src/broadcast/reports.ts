import { type Logger, warnOnceEvery } from '@groupcast/service-kit';
import type { BroadcastCommand, BroadcastResult, BroadcastWarning } from '@groupcast/shared';
import type { FanOut } from '../fan-out/fan-out.ts';
import type { RelayMetrics } from '../metrics/relay-metrics.ts';
import type { MonitorFeed } from '../monitor/monitor-feed.ts';
import { broadcastLine } from './broadcast-line.ts';

/** Words for people, by the code of the warning that they are about. */
export type Hints = Partial<Record<BroadcastWarning, string>>;

/** Words for what one publisher does to all of its groups, of which one is the example. */
const HABITS: Partial<Record<BroadcastWarning, (groupId: string, hint: string | undefined) => string>> = {
  UNPOSITIONED: (groupId) =>
    `group ${groupId} has positions that are the API's, and an event came without one: it is shown once, and never recovered`,
  FIELDS_REPLACED: (groupId, hint) => `a broadcast to group ${groupId} is not shown as it is; ${hint}`,
  FIELDS_IGNORED: (groupId, hint) => `a broadcast to group ${groupId} says more than is read; ${hint}`,
};

/** Returns what tells log, monitor and metrics of each broadcast that was taken, and once a minute what is odd about some. */
export function createReports(deps: {
  fanOut: Pick<FanOut, 'nounOf'>;
  monitor: MonitorFeed;
  metrics: Pick<RelayMetrics, 'deliveries' | 'withoutRecipients'>;
  log: Logger;
  /** The level of the log line that every broadcast leaves. */
  level: 'info' | 'debug';
}): (command: BroadcastCommand, result: BroadcastResult, hints: Hints) => void {
  const { fanOut, monitor, metrics, log, level } = deps;
  const warnOfGroup = warnOnceEvery(60_000);
  const warnOnce = warnOnceEvery(60_000);

  function tell(code: string, { groupId, id }: BroadcastResult, said: string, suppressed: number, logged = said): void {
    log.warn({ code, groupId, id, suppressed }, logged);
    monitor.publish({ kind: 'warning', code, message: said, groupId });
  }

  function warnOf(result: BroadcastResult, hints: Hints): void {
    const { groupId, warnings } = result;
    for (const code of warnings) {
      const habit = HABITS[code];
      if (habit) warnOnce(code, (suppressed) => tell(code, result, habit(groupId, hints[code]), suppressed));
    }
    if (warnings.includes('UNDECIDED_MEMBERS')) {
      const said = `connections whose tokens name group ${groupId} are not in it, until the API at API_URL can be asked`;
      warnOfGroup(`undecided ${groupId}`, (suppressed) => tell('UNDECIDED_MEMBERS', result, said, suppressed));
    }
    if (!warnings.includes('NO_RECIPIENTS')) return;
    metrics.withoutRecipients.inc();
    const near = hints.NO_RECIPIENTS === undefined ? '' : `; ${hints.NO_RECIPIENTS}`;
    const logged = `broadcast to 0 connections; nobody has joined group ${groupId}${near}`;
    warnOfGroup(groupId, (suppressed) =>
      tell('NO_RECIPIENTS', result, `nobody has joined the group${near}`, suppressed, logged),
    );
  }

  return (command, result, hints) => {
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
    if (warnings.length > 0) warnOf(result, hints);
  };
}
