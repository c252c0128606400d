import type { IncomingMessage, Server } from 'node:http';
import type { Socket as NetSocket } from 'node:net';
import { GroupcastError } from '@groupcast/shared';

/** While connections come in, an upgrade waits for so many of them: Node accepts one a turn, so short turns let more of them in. */
const ACCEPTED_PER_UPGRADE = 8;
/** A client waits for the answer before it sends anything (RFC 6455, section 4.1). So much of it is overlooked, in bytes. */
const MAX_HEAD_BYTES = 4_096;

interface Upgrade {
  request: IncomingMessage;
  socket: NetSocket;
  head: Buffer;
}

function onError(): void {
  // 'close' follows. Without a listener for it, an error ends the process.
}

function refuse(socket: NetSocket): void {
  const why = 'unable to read the request; nothing may follow on it before its upgrade is answered';
  const body = JSON.stringify({ error: new GroupcastError('INVALID_PAYLOAD', why).toBody() });
  const head = `HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}`;
  socket.on('error', onError);
  socket.write(`${head}\r\nconnection: close\r\n\r\n${body}`);
  socket.destroySoon();
}

/** What waits, by address: they take turns, and of one address the newest is first, whose client is the most likely to still be there. */
class WaitingUpgrades {
  private readonly byAddress = new Map<string, Upgrade[]>();

  get isEmpty(): boolean {
    return this.byAddress.size === 0;
  }

  add(upgrade: Upgrade): void {
    const address = upgrade.socket.remoteAddress ?? '';
    const ofAddress = this.byAddress.get(address);
    if (ofAddress) ofAddress.push(upgrade);
    else this.byAddress.set(address, [upgrade]);
  }

  next(): Upgrade | undefined {
    const [first] = this.byAddress;
    if (!first) return undefined;
    const [address, ofAddress] = first;
    const upgrade = ofAddress.pop();
    // Its next turn is behind all others'.
    this.byAddress.delete(address);
    if (ofAddress.length > 0) this.byAddress.set(address, ofAddress);
    return upgrade;
  }
}

/**
 * Answers upgrades one a turn of the event loop, and the addresses they come from take turns. Accepting a connection is cheap, and
 * answering its upgrade is not: somebody who comes while one client opens a thousand connections is accepted among them, and does not
 * wait behind their upgrades. To be called when everything that answers upgrades listens.
 */
export function takeTurnsWithUpgrades(server: Server): void {
  const listeners = server.listeners('upgrade');
  const waiting = new WaitingUpgrades();
  /** Connections that came in since an upgrade was answered, and whether one did in this turn. */
  let accepted = 0;
  let isComing = false;
  let scheduled: NodeJS.Immediate | undefined;

  function answer({ request, socket, head }: Upgrade): void {
    socket.off('error', onError);
    if (socket.destroyed) return;
    for (const listener of listeners) listener.call(server, request, socket, head);
  }

  function take(): void {
    scheduled = undefined;
    if (!isComing || accepted >= ACCEPTED_PER_UPGRADE) {
      const upgrade = waiting.next();
      if (upgrade) answer(upgrade);
      accepted = 0;
    }
    isComing = false;
    if (!waiting.isEmpty) schedule();
  }
  function schedule(): void {
    scheduled ??= setImmediate(take);
  }

  server.on('connection', () => {
    accepted += 1;
    isComing = true;
  });
  server.removeAllListeners('upgrade');
  server.on('upgrade', (request, stream, head) => {
    const socket = stream as NetSocket;
    if (head.length > MAX_HEAD_BYTES) {
      refuse(socket);
      return;
    }
    socket.on('error', onError);
    waiting.add({ request, socket, head });
    schedule();
  });
}
