import type { IncomingMessage, Server } from 'node:http';
import type { Socket } from 'node:net';
import { GroupcastError } from '@groupcast/shared';
import { LiveQueue } from './live-queue.ts';

/** How long requests are begun in one turn of the event loop, in milliseconds. */
const TURN_MS = 2;
/** New connections that a request lets go first: libuv accepts one in each turn, so short turns let more of them in. */
const ACCEPTED_PER_REQUEST = 8;
/** Most bytes that are ignored behind an upgrade: a client waits for its answer before it sends anything (RFC 6455, section 4.1). */
const MAX_HEAD_BYTES = 1_024;

/** Turns in a row with a new connection each that make a crowd, whose requests are read in turns. */
const CROWD_TURNS = 8;
/** Estimated cost of the first read of a connection in the turn after it, in milliseconds. */
const READ_MS = 0.5;

interface Waiting {
  socket: Socket;
  begin: () => void;
}
const KINDS = ['read', 'request', 'upgrade'] as const;
type Kind = (typeof KINDS)[number];

function onError(): void {
  // 'close' follows. Without a listener for it, an error of an upgraded socket ends the process.
}

const isOver = ({ socket }: Waiting): boolean => socket.destroyed;

/**
 * Work that waits from one address. Its kinds take turns; requests keep their order, and of the others the newest is first. A connection
 * that is gone holds up nobody with what it left.
 */
class WaitingOfAddress {
  private readonly byKind: Record<Kind, LiveQueue<Waiting>> = {
    read: new LiveQueue(isOver),
    request: new LiveQueue(isOver),
    upgrade: new LiveQueue(isOver),
  };
  private turn = 0;

  add(kind: Kind, waiting: Waiting): void {
    this.byKind[kind].push(waiting);
  }

  /** Undefined: nothing is left. */
  next(): Waiting | undefined {
    for (let tried = 0; tried < KINDS.length; tried += 1) {
      const kind = KINDS[this.turn % KINDS.length] ?? 'request';
      this.turn += 1;
      const queue = this.byKind[kind];
      const waiting = kind === 'request' ? queue.takeOldest() : queue.takeNewest();
      if (waiting) return waiting;
    }
    return undefined;
  }
}

/** Waiting work by address; addresses take turns. */
class WaitingByAddress {
  private readonly byAddress = new Map<string, WaitingOfAddress>();

  get isEmpty(): boolean {
    return this.byAddress.size === 0;
  }

  add(kind: Kind, waiting: Waiting): void {
    const address = waiting.socket.remoteAddress ?? '';
    const known = this.byAddress.get(address);
    const ofAddress = known ?? new WaitingOfAddress();
    if (!known) this.byAddress.set(address, ofAddress);
    ofAddress.add(kind, waiting);
  }

  next(): Waiting | undefined {
    for (const [address, ofAddress] of this.byAddress) {
      const waiting = ofAddress.next();
      // The address's next turn is behind all others'.
      this.byAddress.delete(address);
      if (!waiting) continue;
      this.byAddress.set(address, ofAddress);
      return waiting;
    }
    return undefined;
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
 * Requests and upgrades begin at once, unless there is more to do than fits into a turn of the event loop. Then they wait, and the addresses
 * they came from take turns. Accepting a connection is cheap, and reading and answering its request is not: a client that comes while
 * another one opens a thousand connections is accepted among them, and does not wait behind their requests.
 */
export interface Turns {
  /** A connection is served at once, unless Node does not read it yet: then it costs no more than its socket until its turn comes. */
  connection(socket: Socket, begin: () => void): void;
  request(request: IncomingMessage, begin: () => void): void;
  upgrade(socket: Socket, head: Buffer, begin: () => void): void;
}

export function createTurns(server: Server): Turns {
  const waiting = new WaitingByAddress();
  /** Connections that came in since something was begun, whether one did in this turn, and in how many turns before it. */
  let accepted = 0;
  let isComing = false;
  let comingTurns = 0;
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
    comingTurns = isComing ? comingTurns + 1 : 0;
    isComing = false;
    pauseNew(comingTurns >= CROWD_TURNS);
    if (!waiting.isEmpty || spentMs > 0 || comingTurns > 0) schedule();
  }
  function schedule(): void {
    scheduled ??= setImmediate(nextTurn);
  }
  /** Node reads nothing from a connection that it accepts meanwhile. */
  function pauseNew(isCrowded: boolean): void {
    (server as Server & { pauseOnConnect?: boolean }).pauseOnConnect = isCrowded;
  }

  function add(kind: Kind, entry: Waiting): void {
    // Node listens for errors itself while it serves HTTP on a connection.
    if (kind !== 'request') entry.socket.on('error', onError);
    waiting.add(kind, entry);
  }
  function take(kind: 'request' | 'upgrade', entry: Waiting): void {
    schedule();
    if (waiting.isEmpty && !isComing && spentMs < TURN_MS) {
      begin(entry);
      return;
    }
    add(kind, entry);
  }

  function readOn(socket: Socket, serve: () => void): void {
    // The server that has closed knows of no connection that it does not serve, and would wait for this one.
    if (!server.listening) socket.destroy();
    else {
      serve();
      socket.resume();
      spentMs += READ_MS;
    }
  }

  return {
    connection(socket, serve) {
      accepted += 1;
      isComing = true;
      schedule();
      // It may have been refused.
      if (socket.destroyed) return;
      if (socket.isPaused()) add('read', { socket, begin: () => readOn(socket, serve) });
      else serve();
    },
    request: ({ socket }, work) => take('request', { socket, begin: work }),
    upgrade(socket, head, work) {
      if (head.length > MAX_HEAD_BYTES) refuseHead(socket);
      else take('upgrade', { socket, begin: work });
    },
  };
}
