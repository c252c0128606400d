import type { IncomingMessage, Server } from 'node:http';
import type { Socket } from 'node:net';
import { GroupcastError } from '@groupcast/shared';

/** How long requests are begun in one turn of the event loop, in milliseconds. */
const TURN_MS = 2;
/** While connections come in, a request waits for so many of them: Node accepts one a turn, so short turns let more of them in. */
const ACCEPTED_PER_REQUEST = 8;
/** A client waits for the answer to its upgrade before it sends anything (RFC 6455, section 4.1). So much is overlooked, in bytes. */
const MAX_HEAD_BYTES = 4_096;

interface Waiting {
  socket: Socket;
  begin: () => void;
}

function onError(): void {
  // 'close' follows. Without a listener for it, an error of an upgraded socket ends the process.
}

/** What waits, by address: they take turns. */
class WaitingByAddress {
  private readonly byAddress = new Map<string, Waiting[]>();

  get isEmpty(): boolean {
    return this.byAddress.size === 0;
  }

  add(waiting: Waiting, isFirst: boolean): void {
    const address = waiting.socket.remoteAddress ?? '';
    const ofAddress = this.byAddress.get(address);
    if (!ofAddress) this.byAddress.set(address, [waiting]);
    else if (isFirst) ofAddress.unshift(waiting);
    else ofAddress.push(waiting);
  }

  next(): Waiting | undefined {
    const [first] = this.byAddress;
    if (!first) return undefined;
    const [address, ofAddress] = first;
    const waiting = ofAddress.shift();
    // The address's next turn is behind all others'.
    this.byAddress.delete(address);
    if (ofAddress.length > 0) this.byAddress.set(address, ofAddress);
    return waiting;
  }
}

function refuseHead(socket: Socket): void {
  const why = 'unable to read the request; nothing may follow on it before its upgrade is answered';
  const body = JSON.stringify({ error: new GroupcastError('INVALID_PAYLOAD', why).toBody() });
  const head = `HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}`;
  socket.on('error', onError);
  socket.write(`${head}\r\nconnection: close\r\n\r\n${body}`);
  socket.destroySoon();
}

/**
 * When requests and upgrades are begun: at once, unless there is more to do than fits into a turn of the event loop. What waits then is
 * begun by turns of the addresses it came from. Accepting a connection is cheap, and answering its request is not: somebody who comes
 * while one client opens a thousand connections is accepted among them, and does not wait behind their requests.
 */
export interface Turns {
  request(request: IncomingMessage, begin: () => void): void;
  /** Of one address the newest upgrade is first: its client is the most likely to still be there. */
  upgrade(socket: Socket, head: Buffer, begin: () => void): void;
}

export function createTurns(server: Server): Turns {
  const waiting = new WaitingByAddress();
  /** Connections that came in since something was begun, and whether one did in this turn. */
  let accepted = 0;
  let isComing = false;
  let spentMs = 0;
  let scheduled: NodeJS.Immediate | undefined;

  function begin({ socket, begin: work }: Waiting): void {
    socket.off('error', onError);
    if (socket.destroyed) return;
    const startedAt = performance.now();
    accepted = 0;
    try {
      work();
    } finally {
      spentMs += performance.now() - startedAt;
    }
  }

  function beginNext(): boolean {
    const next = waiting.next();
    if (next) begin(next);
    return next !== undefined;
  }
  function beginSome(): void {
    for (;;) {
      if (spentMs >= TURN_MS || !beginNext()) return;
    }
  }

  function nextTurn(): void {
    scheduled = undefined;
    spentMs = 0;
    if (!isComing) beginSome();
    else if (accepted >= ACCEPTED_PER_REQUEST) beginNext();
    isComing = false;
    if (!waiting.isEmpty || spentMs > 0) schedule();
  }
  function schedule(): void {
    scheduled ??= setImmediate(nextTurn);
  }

  function take(entry: Waiting, isFirst: boolean): void {
    schedule();
    if (waiting.isEmpty && !isComing && spentMs < TURN_MS) {
      begin(entry);
      return;
    }
    entry.socket.on('error', onError);
    waiting.add(entry, isFirst);
  }

  server.on('connection', () => {
    accepted += 1;
    isComing = true;
    schedule();
  });

  return {
    request: ({ socket }, work) => take({ socket, begin: work }, false),
    upgrade(socket, head, work) {
      if (head.length > MAX_HEAD_BYTES) refuseHead(socket);
      else take({ socket, begin: work }, true);
    },
  };
}
