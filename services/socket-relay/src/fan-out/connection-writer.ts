import type { Socket as NetSocket } from 'node:net';
import { type Engine, takesFrames, unsentOn, wireBehind } from '../engine/wire.ts';
import type { RelaySocket } from '../sessions/session.ts';
import type { Share } from './divide.ts';
import type { EncodedEvent } from './encoded-event.ts';
import type { Parcel } from './frame-batch.ts';

interface Client {
  conn: Engine;
  writeToEngine(packets: unknown[], options: EncodedEvent['engineOptions']): void;
}

interface SocketInternals {
  _anyOutgoingListeners?: unknown[];
}

/** What Node's streams call it; its type lists those of strings. */
const BYTES = 'buffer' as BufferEncoding;
/** The frame is all there is of the packet. */
const NO_DATA = [''];

/** `queued`: through the engine, but as few packets; `stock`: as Socket.IO itself does. */
export type Payment = 'direct' | 'queued' | 'stock' | 'gone';

/** One connection as the fan-out sees it: what it is owed, and the way to pay. */
export class Outlet {
  /** Not written yet; it goes out before anything else that is written to the connection. */
  owed: Parcel | undefined;
  /** What of the turn that is being divided is this connection's. */
  share: Share | undefined;
  readonly socket: RelaySocket;
  /** Where frames may be written past the engine, unless somebody else has written since that was looked at. */
  private clearWire: NetSocket | undefined;
  private isGone = false;
  /** Where a direct payment is, until the operating system has taken it: mostly at once. */
  private underWay: NetSocket | undefined;
  private readonly onTaken = (error?: Error | null): void => {
    const wire = this.underWay;
    this.underWay = undefined;
    if (error) wire?.destroy(error);
  };

  constructor(socket: RelaySocket) {
    this.socket = socket;
  }

  owe(parcel: Parcel): void {
    this.owed = this.owed ? this.owed.with(parcel) : parcel;
  }

  /** A packet is being written by the engine's own way, and the next payment has to look whether it is through. */
  disturb(): void {
    this.clearWire = undefined;
  }

  /** The connection has left the namespace. */
  close(): void {
    this.isGone = true;
    this.owed = undefined;
    this.clearWire = undefined;
  }

  /** A payment failed, so there would be a gap: ends the connection without another word, and it comes back by its position. */
  abandon(): void {
    const { conn } = this.socket;
    const { socket: webSocket } = (conn as unknown as Engine).transport;
    if (webSocket) webSocket.terminate();
    else conn.close(true);
  }

  /** What of the last direct payment the operating system has not taken. */
  get waitingBytes(): number {
    const wire = this.clearWire;
    return wire && (this.underWay ?? wire.writableLength > 0) ? unsentOn(wire) : 0;
  }

  /** Writes what is owed, in one piece where nothing can be in its way, and as Socket.IO itself would otherwise. */
  pay(): Payment {
    const parcel = this.owed;
    this.owed = undefined;
    if (!parcel || this.isGone) return 'gone';
    // Looked at once, and then at the least that can change: every object less that is touched here shows in the sum.
    this.clearWire ??= wireBehind(this.socket.conn as unknown as Engine);
    const wire = this.clearWire;
    if (wire?.writableLength === 0 && wire.writable && !this.underWay && !this.isOverheard() && parcel.isFramed) {
      this.put(wire, parcel.buffers);
      return 'direct';
    }
    if (!this.isOverheard() && parcel.isFramed && takesFrames(this.socket.conn as unknown as Engine)) {
      this.queue(parcel);
      return 'queued';
    }
    this.payByEngine(parcel);
    return 'stock';
  }

  private put(wire: NetSocket, buffers: readonly Buffer[]): void {
    const [only] = buffers;
    if (buffers.length === 1 && only) {
      this.underWay = wire;
      // Past the stream's own bookkeeping, which is a tenth of what a write costs. Nothing is in the stream, so nothing is overtaken.
      wire._write(only, BYTES, this.onTaken);
      return;
    }
    wire.cork();
    for (const buffer of buffers) wire.write(buffer);
    wire.uncork();
  }

  /** One packet of the engine's for each buffer, whose frames are of several events. */
  private queue({ engineOptions }: Parcel): void {
    const client = this.socket.client as unknown as Client;
    for (const options of engineOptions) client.writeToEngine(NO_DATA, options);
  }

  private payByEngine({ events }: Parcel): void {
    const { socket } = this;
    const client = socket.client as unknown as Client;
    for (const { packets, engineOptions, name, payload } of events) {
      if (this.isOverheard()) socket.emit(name as never, payload as never);
      else client.writeToEngine(packets, engineOptions);
    }
  }

  /** `listenersAnyOutgoing` makes an array to say that there are none. */
  private isOverheard(): boolean {
    const { _anyOutgoingListeners: listeners } = this.socket as unknown as SocketInternals;
    return listeners !== undefined && listeners.length > 0;
  }
}
