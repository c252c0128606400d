import type { Socket as NetSocket } from 'node:net';
import type { RelaySocket } from '../relay-server.ts';
import type { EncodedEvent } from './encoded-event.ts';
import type { Parcel } from './parcel.ts';
import type { Share } from './turn.ts';

/** Fields of Engine.IO and ws that have no public name. `versions.unit.test.ts` fails where one of them goes away. */
interface EngineInternals {
  readyState: string;
  protocol: number;
  writeBuffer: unknown[];
  transport: {
    name: string;
    writable: boolean;
    perMessageDeflate?: unknown;
    socket?: { readyState: number; bufferedAmount: number; _socket: NetSocket };
  };
}
interface ClientInternals {
  writeToEngine(packets: unknown[], options: EncodedEvent['engineOptions']): void;
}

const WEB_SOCKET_OPEN = 1;

export type Payment = 'direct' | 'stock' | 'gone';

/** One connection as the fan-out sees it: what it is owed, and the way to pay. */
export class Outlet {
  /** Not written yet; it goes out before anything else that is written to the connection. */
  owed: Parcel | undefined;
  /** What of the turn that is being divided is this connection's. */
  share: Share | undefined;
  private readonly socket: RelaySocket;

  constructor(socket: RelaySocket) {
    this.socket = socket;
  }

  owe(parcel: Parcel): void {
    this.owed = this.owed ? this.owed.with(parcel) : parcel;
  }

  /** Writes what is owed, in one piece where nothing can be in its way, and as Socket.IO itself would otherwise. */
  pay(): Payment {
    const parcel = this.owed;
    this.owed = undefined;
    const socket = this.socket;
    if (!parcel || !socket.connected) return 'gone';
    const wire = this.idleWire();
    if (wire && parcel.isFramed) {
      writeAll(wire, parcel.buffers);
      return 'direct';
    }
    const client = socket.client as unknown as ClientInternals;
    for (const { packets, engineOptions, name, payload } of parcel.events) {
      if (this.isOverheard()) socket.emit(name as never, payload as never);
      else client.writeToEngine(packets, engineOptions);
    }
    return 'stock';
  }

  private isOverheard(): boolean {
    return this.socket.listenersAnyOutgoing().length > 0;
  }

  /**
   * The TCP socket, where a frame that is written to it now follows on everything that was written to the connection: the
   * engine is open and has nothing queued, its transport is a WebSocket that is not busy, nothing is left in ws or in Node.
   */
  private idleWire(): NetSocket | undefined {
    const engine = this.socket.conn as unknown as EngineInternals;
    const { transport } = engine;
    const ws = transport.socket;
    const isIdle =
      engine.readyState === 'open' &&
      engine.protocol === 4 &&
      engine.writeBuffer.length === 0 &&
      transport.name === 'websocket' &&
      transport.writable &&
      !transport.perMessageDeflate &&
      ws?.readyState === WEB_SOCKET_OPEN &&
      ws.bufferedAmount === 0 &&
      !this.isOverheard();
    return isIdle ? ws._socket : undefined;
  }
}

function writeAll(wire: NetSocket, buffers: readonly Buffer[]): void {
  const [only] = buffers;
  if (buffers.length === 1 && only) {
    wire.write(only);
    return;
  }
  wire.cork();
  for (const buffer of buffers) wire.write(buffer);
  wire.uncork();
}
