import type { Socket } from 'node:net';

/** How often a peer that says nothing is asked whether it is still there, in milliseconds. */
const KEEP_ALIVE_MS = 30_000;
/** How long one side may stay open after the other one has ended, in milliseconds: it may read what is under way. */
const CLOSE_WITHIN_MS = 2_000;

/** How long one side may read nothing of what waits for it, in milliseconds. */
const STALLED_MS = 60_000;

export interface JoinedSockets {
  /** Ends both, once they have been given what was under way to them. */
  end(): void;
  /**
   * Cuts both if one of them has read nothing of what waits for it for too long: until it reads, nobody hears that the other one has gone.
   * To be asked now and then, with the monotonic time.
   */
  cutStalled(now: number): void;
}

/** Watches how much of what was written to a socket has left it. */
function watchProgress(socket: Socket): (now: number) => boolean {
  let last = { sent: -1, since: 0 };
  return (now) => {
    const sent = socket.bytesWritten - socket.writableLength;
    if (sent !== last.sent || socket.writableLength === 0) last = { sent, since: now };
    return now - last.since > STALLED_MS;
  };
}

/**
 * Joins two connections: each hears what the other one says, and ends with it. Bytes that one side does not read are not read from the other
 * one either, so that they wait where they come from, and not here.
 */
export function joinSockets(a: Socket, b: Socket, onClosed: () => void): JoinedSockets {
  let closing: NodeJS.Timeout | undefined;
  const stalled = [watchProgress(a), watchProgress(b)];

  function cut(): void {
    for (const each of [a, b]) each.destroy();
  }
  function end(): void {
    for (const each of [a, b]) each.destroySoon();
    closing ??= setTimeout(cut, CLOSE_WITHIN_MS);
  }
  function closed(): void {
    if (!a.destroyed || !b.destroyed) {
      end();
      return;
    }
    clearTimeout(closing);
    onClosed();
  }
  for (const each of [a, b]) {
    each.setNoDelay(true).setKeepAlive(true, KEEP_ALIVE_MS);
    each.on('error', () => undefined);
    each.once('end', end).once('close', closed);
  }
  a.pipe(b).pipe(a);
  if (a.destroyed || b.destroyed) closed();
  return {
    end,
    cutStalled(now) {
      const isStalled = stalled.map((look) => look(now)).includes(true);
      if (isStalled) cut();
    },
  };
}
