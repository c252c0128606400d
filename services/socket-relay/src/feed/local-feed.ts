import type { FanOut } from '../fan-out/fan-out.ts';
import type { GroupFeed } from './feed.ts';

/** The feed of a relay with a log of its own: accepted events are in order, and there is no other node. */
export function createLocalFeed(fanOut: FanOut): GroupFeed {
  return {
    comesBack: false,
    receive: (groupId, event, except) => fanOut.deliver(groupId, event, except),
    async open() {
      // Everything happens on this node.
    },
    beginsEmpty() {
      // The first event that comes is the first event of the group.
    },
    awaitsBeginning: () => false,
    async settle() {
      // Accepted events are handed over within a turn of the event loop.
      await new Promise(setImmediate);
    },
    settleAll: async () => true,
    stop() {
      // Nothing runs.
    },
  };
}
