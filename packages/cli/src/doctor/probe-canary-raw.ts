import { CANARY_USERS, join } from './canary.ts';
import { failed, ok, skipped } from './hops.ts';
import { judgeTrouble } from './probe-canary.ts';
import { openRawSocket } from './raw-socket.ts';
import { NoConnection } from './sockets.ts';
import { type Probe, whyNoCage } from './walk-state.ts';

/** The canary through the raw door, where RELAY_WS_PATH opens it. */
export const probeCanaryRaw: Probe = async (walk) => {
  const { cage, relayTakesUsers, publicUrl, patient } = walk;
  const { wsPath, users, timeoutMs, relayUrl } = patient;
  if (wsPath === undefined) return skipped('RELAY_WS_PATH is not set: there is no raw door');
  if (!cage) return skipped(whyNoCage(walk));
  if (!users || relayTakesUsers !== true)
    return skipped('the door is for users, and no token of a user can be made here');
  const url = `${publicUrl}${wsPath}`;
  const open: { close(): void }[] = [];
  try {
    const publisher = await cage.publisher(relayUrl);
    open.push(publisher);
    const [userId] = CANARY_USERS;
    const socket = await openRawSocket(`${url}?dialect=native`, timeoutMs);
    open.push(socket);
    socket.send({ type: 'auth', token: await users.sign(userId, [cage.groupId]) });
    const welcome = await socket.heard('socketId', timeoutMs);
    if (welcome === undefined) throw new NoConnection(`no answer to auth within ${timeoutMs} ms`, { isSilent: true });
    await join(socket, userId, { groupId: cage.groupId, publisher, timeoutMs });
    const start = performance.now();
    const id = await cage.release(publisher);
    if ((await socket.heard(id, timeoutMs)) === undefined) {
      return failed(
        'CANARY_LOST',
        `a plain WebSocket at ${url} did not get the canary`,
        'see docs/reference/websocket.md, and the log of the relay',
      );
    }
    return ok(`a plain WebSocket got it after ${Math.round(performance.now() - start)} ms`);
  } catch (error) {
    return judgeTrouble(error, 'a plain WebSocket', url);
  } finally {
    for (const each of open) each.close();
  }
};
