import { type Clock, watchBrowser } from '../environment.ts';
import type { ListUpkeep } from '../groups/list-upkeep.ts';
import type { Connection } from './connection.ts';

/** Follows the browser's signals about its network and about the person in front of it; returns a function that stops it. */
export function followBrowser(deps: {
  target: EventTarget | undefined;
  connection: Pick<Connection, 'wake' | 'online' | 'offline'>;
  /** Gives up every request that is under way and may be made again. */
  abandon: () => void;
  /** Everything that waits for its next try is tried now. */
  hurry: () => void;
  list: Pick<ListUpkeep, 'onOccasion'>;
  clock: Clock;
}): () => void {
  const { connection, hurry, clock } = deps;
  let isOffline = false;
  let onlineTimer: unknown;
  const stop = watchBrowser(deps.target, {
    wake() {
      connection.wake();
      hurry();
      // It is said of a page that is left as well.
      if (!isHidden()) deps.list.onOccasion();
    },
    online() {
      // A request that was made without a network gets no answer, and everyone who asks the same would wait for it.
      if (isOffline) deps.abandon();
      isOffline = false;
      clock.clearTimeout(onlineTimer);
      // In a turn of its own, after the callers have learnt that their requests were given up.
      onlineTimer = clock.setTimeout(() => {
        connection.online();
        hurry();
      }, 0);
    },
    offline() {
      isOffline = true;
      connection.offline();
    },
  });
  return () => {
    stop();
    clock.clearTimeout(onlineTimer);
  };
}

function isHidden(): boolean {
  return typeof document !== 'undefined' && document.visibilityState === 'hidden';
}
