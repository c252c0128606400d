import { groupRoom } from '@groupcast/shared';
import type { Heartbeat } from '../engine/heartbeat.ts';
import type { FanOut } from '../fan-out/fan-out.ts';
import type { Sender } from '../fan-out/sender.ts';
import { isUserSocket, type RelayServer, type UserSocket } from '../sessions/session.ts';
import type { CursorForwarder } from '../upstream/cursor-forwarder.ts';

/** How long messages are gathered before a connection is asked whether it has read them, in milliseconds. */
const GATHER_MS = 250;
/** Most connections of a group here that are asked: in larger groups nobody is named, and there is no status of a message. */
const MAX_CONNECTIONS = 200;

/**
 * Finds out how far the clients of dialects with a name for `message-status` have read, who say nothing about it themselves: a client
 * answers a ping after it has read all that was written before. That is what their engines have read, not what they have shown. A group
 * without such clients costs a look at its dialects per message. Returns a function that ends it.
 */
export function startProofs(deps: {
  io: RelayServer;
  sender: Pick<Sender, 'dialectsIn'>;
  fanOut: Pick<FanOut, 'onDelivered'>;
  heartbeat: Pick<Heartbeat, 'prove'>;
  cursors: Pick<CursorForwarder, 'report'>;
}): () => void {
  const { adapter, sockets } = deps.io.of('/');
  /** The position up to which each connection was written, by group. */
  let waiting = new Map<UserSocket, Map<string, number>>();
  /** Connections that are being asked. What comes for them meanwhile waits for their answer. */
  const asked = new WeakSet<UserSocket>();
  let timer: NodeJS.Timeout | undefined;

  function ask(socket: UserSocket, written: ReadonlyMap<string, number>): void {
    asked.add(socket);
    deps.heartbeat.prove(socket, () => {
      asked.delete(socket);
      const { userId, groups } = socket.data.session;
      for (const [groupId, seq] of written) {
        if (groups.has(groupId)) deps.cursors.report(userId, groupId, { received: seq });
      }
      if (waiting.has(socket)) askSoon();
    });
  }

  function askAll(): void {
    timer = undefined;
    const all = waiting;
    waiting = new Map();
    for (const [socket, written] of all) {
      if (!socket.connected) continue;
      if (asked.has(socket)) waiting.set(socket, written);
      else ask(socket, written);
    }
  }

  function askSoon(): void {
    timer ??= setTimeout(askAll, GATHER_MS).unref();
  }

  deps.fanOut.onDelivered((groupId, { event, position }) => {
    const room = groupRoom(groupId);
    if (!position || event !== 'new-message') return;
    const members = adapter.rooms.get(room);
    if (!members || members.size > MAX_CONNECTIONS) return;
    if (!deps.sender.dialectsIn(room).some(({ saysStatus }) => saysStatus)) return;
    for (const id of members) {
      const socket = sockets.get(id);
      if (!socket || !isUserSocket(socket) || !socket.data.session.dialect?.saysStatus) continue;
      waiting.set(socket, (waiting.get(socket) ?? new Map<string, number>()).set(groupId, position.seq));
    }
    askSoon();
  });

  return () => {
    clearTimeout(timer);
    waiting.clear();
  };
}
