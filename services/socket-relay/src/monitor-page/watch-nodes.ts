import type { Logger } from '@groupcast/service-kit';
import type { MonitorFeed } from '../monitor/monitor-feed.ts';
import type { AllNodes } from './all-nodes.ts';
import { createEventStreams, type EventStreams, type StreamOptions } from './event-streams.ts';
import type { PageSessions } from './page-sessions.ts';

/** Live events for the page. Nothing is listened to, here and on other nodes, while nobody has the page open. */
export function streamMonitorEvents(
  deps: {
    monitor: Pick<MonitorFeed, 'listen'>;
    nodes: Pick<AllNodes, 'note'>;
    sessions: Pick<PageSessions, 'find'>;
    /** Shows the events of other relays from now on. */
    openLink: () => Promise<unknown>;
    log: Logger;
  },
  options?: StreamOptions,
): EventStreams {
  const { monitor, nodes, sessions, log } = deps;
  let unlisten = (): void => undefined;
  const streams = createEventStreams(
    {
      isOpen: async (id) => (await sessions.find(id)) !== undefined,
      onWatched(isWatched) {
        unlisten();
        if (!isWatched) return;
        unlisten = monitor.listen((event) => {
          nodes.note(event);
          streams.show(event);
        });
        deps.openLink().catch((error: unknown) => log.warn({ err: error }, 'unable to show the page the other relays'));
      },
    },
    options,
  );
  return streams;
}
