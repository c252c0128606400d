import { groupRoom } from '@groupcast/shared';
import type { Heartbeat } from '../engine/heartbeat.ts';
import type { Deliveries } from '../fan-out/deliveries.ts';
import type { FanOut } from '../fan-out/fan-out.ts';
import type { Sender } from '../fan-out/sender.ts';
import type { RelayMetrics } from '../metrics/relay-metrics.ts';
import { isUserSocket, type RelayServer, type UserSocket } from '../sessions/session.ts';
import type { CursorForwarder } from '../upstream/cursor-forwarder.ts';

/** How long messages are gathered before a connection is asked whether it has read them, in milliseconds. */
const GATHER_MS = 250;
/** Most connections of a group here that are asked: in larger groups nobody is named, and there is no status of a message. */
const MAX_CONNECTIONS = 200;

/**
 * Tells the back end how far the clients have read that say nothing about it themselves: that is how far their engines have, not what they
 * have shown. It is known with each beat; clients of dialects with a name for `message-status` are asked at once. A group without such
 * clients costs a look at its dialects per message. Returns a function that ends it.
 */
export function startProofs(deps: {
  io: RelayServer;
  sender: Pick<Sender, 'dialectsIn'>;
  fanOut: Pick<FanOut, 'onDelivered'>;
  deliveries: Pick<Deliveries, 'lastPositioned'>;
  heartbeat: Pick<Heartbeat, 'prove' | 'onProven'>;
  cursors: Pick<CursorForwarder, 'report'>;
  metrics: Pick<RelayMetrics, 'hopLag'>;
}): () => void {
  const { heartbeat, deliveries, cursors } = deps;
  const { adapter, sockets } = deps.io.of('/');
  /** Connections that were written to, and are to be asked. */
  const waiting = new Set<UserSocket>();
  let timer: NodeJS.Timeout | undefined;

  heartbeat.onProven((socket, before, proven) => {
    const { userId, groups, reportsCursors } = socket.data.session;
    if (reportsCursors || !socket.connected) return;
    for (const [groupId, { since }] of groups) {
      const last = deliveries.lastPositioned(groupId, proven.upTo);
      if (!last?.position || last.number <= before.upTo || last.number <= since) continue;
      cursors.report(userId, groupId, { received: last.position.seq });
    }
  });

  function askAll(): void {
    timer = undefined;
    const askedAt = performance.now();
    const proven = (): void => deps.metrics.hopLag.observe({ hop: 'proven' }, (performance.now() - askedAt) / 1_000);
    for (const socket of waiting) if (socket.connected) heartbeat.prove(socket, proven);
    waiting.clear();
  }

  deps.fanOut.onDelivered((groupId, { event, position }) => {
    const room = groupRoom(groupId);
    if (!position || event !== 'new-message') return;
    const members = adapter.rooms.get(room);
    if (!members || members.size > MAX_CONNECTIONS) return;
    if (!deps.sender.dialectsIn(room).some(({ saysStatus }) => saysStatus)) return;
    for (const id of members) {
      const socket = sockets.get(id);
      if (socket && isUserSocket(socket) && socket.data.session.dialect?.saysStatus) waiting.add(socket);
    }
    timer ??= setTimeout(askAll, GATHER_MS).unref();
  });

  return () => {
    clearTimeout(timer);
    waiting.clear();
  };
}
