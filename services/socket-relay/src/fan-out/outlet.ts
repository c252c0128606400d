import type { Socket as NetSocket } from 'node:net';
import type { RelaySocket } from '../relay-server.ts';
import type { EncodedEvent } from './encoded-event.ts';
import type { Parcel } from './parcel.ts';
import type { Share } from './turn.ts';

/** Fields of Engine.IO and ws that have no public name. `gathering-sender.int.test.ts` fails where one of them goes away. */
interface Engine {
  readyState: string;
  protocol: number;
  writeBuffer: unknown[];
  transport: Transport;
}
interface Transport {
  name: string;
  writable: boolean;
  perMessageDeflate?: unknown;
  socket?: WebSocket;
}
interface WebSocket {
  readyState: number;
  extensions: string;
  _socket: NetSocket | null;
}
interface Client {
  conn: Engine;
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
  readonly socket: RelaySocket;
  private readonly engine: Engine;
  /** The transport that was looked at last, and what stands behind it if frames may be written past it. */
  private transport: Transport | undefined;
  private webSocket: WebSocket | undefined;
  private wire: NetSocket | undefined;

  constructor(socket: RelaySocket) {
    this.socket = socket;
    this.engine = socket.conn as unknown as Engine;
  }

  owe(parcel: Parcel): void {
    this.owed = this.owed ? this.owed.with(parcel) : parcel;
  }

  /** Writes what is owed, in one piece where nothing can be in its way, and as Socket.IO itself would otherwise. */
  pay(): Payment {
    const parcel = this.owed;
    this.owed = undefined;
    const { socket } = this;
    if (!parcel || !socket.connected) return 'gone';
    const wire = this.idleWire();
    if (wire && parcel.isFramed) {
      writeAll(wire, parcel.buffers);
      return 'direct';
    }
    const client = socket.client as unknown as Client;
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
    const { engine } = this;
    const { transport } = engine;
    if (transport !== this.transport) this.lookAt(transport);
    const { wire, webSocket } = this;
    const isIdle =
      wire !== undefined &&
      wire.writableLength === 0 &&
      transport.writable &&
      engine.writeBuffer.length === 0 &&
      engine.readyState === 'open' &&
      webSocket?.readyState === WEB_SOCKET_OPEN &&
      !this.isOverheard();
    return isIdle ? wire : undefined;
  }

  /** What does not change while a connection has this transport. Without extensions ws keeps nothing back. */
  private lookAt(transport: Transport): void {
    const { socket: webSocket, name, perMessageDeflate } = transport;
    const isPlain = name === 'websocket' && this.engine.protocol === 4 && !perMessageDeflate;
    this.transport = transport;
    this.webSocket = webSocket;
    this.wire = isPlain && webSocket?.extensions === '' ? (webSocket._socket ?? undefined) : undefined;
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
