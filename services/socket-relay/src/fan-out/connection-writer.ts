import type { Socket as NetSocket } from 'node:net';
import { type WriteDone, writeNow } from '../engine/direct-write.ts';
import { type Engine, takesFrames, unsentOn, wireBehind } from '../engine/wire.ts';
import type { RelaySocket } from '../sessions/session.ts';
import type { AudienceSet, Recipient } from './divide.ts';
import type { EncodedEvent } from './encoded-event.ts';
import type { FrameBatch } from './frame-batch.ts';

interface Client {
  conn: Engine;
  writeToEngine(packets: unknown[], options: EncodedEvent['engineOptions']): void;
}

interface SocketInternals {
  _anyOutgoingListeners?: unknown[];
}

/** The packet consists of nothing but its frame. */
const NO_DATA = [''];

/** `queued`: through the engine, in as few packets as possible; `stock`: as Socket.IO itself writes; `gone`: the connection went first. */
export type FlushPath = 'direct' | 'queued' | 'stock' | 'gone';

/** Holds what is pending for one connection, and writes it in the cheapest way that keeps the order. */
export class ConnectionWriter implements Recipient, WriteDone {
  /** Not written yet. It leaves before anything else that is written to the connection. */
  pending: FrameBatch | undefined;
  audiences: AudienceSet | undefined;
  readonly socket: RelaySocket;
  /** The TCP socket to which frames may be written past the engine. It is unknown once anybody else has written since the last look. */
  private idleWire: NetSocket | undefined;
  private isGone = false;
  /** Whether the operating system has not taken all of a direct write yet. Mostly it does at once. */
  private isInFlight = false;

  constructor(socket: RelaySocket) {
    this.socket = socket;
  }

  add(batch: FrameBatch): void {
    this.pending = this.pending ? this.pending.followedBy(batch) : batch;
  }

  /** The engine is writing a packet of its own, so the next flush has to look again whether the wire is idle. */
  forgetWire(): void {
    this.idleWire = undefined;
  }

  /** The connection has left the namespace. */
  close(): void {
    this.isGone = true;
    this.pending = undefined;
    this.idleWire = undefined;
  }

  /** A write has failed, which leaves a gap. Ends the connection without another packet; its client comes back by its position. */
  terminate(): void {
    const { conn } = this.socket;
    const { socket: webSocket } = (conn as unknown as Engine).transport;
    if (webSocket) webSocket.terminate();
    else conn.close(true);
  }

  onOver(): void {
    this.isInFlight = false;
  }

  /** Bytes of the last direct write that the operating system has not taken. */
  get unsentBytes(): number {
    const wire = this.idleWire;
    return wire && (this.isInFlight || wire.writableLength > 0) ? unsentOn(wire) : 0;
  }

  /** Writes what is pending: with one direct write if nothing can be in its way, and as Socket.IO itself does otherwise. */
  flush(): FlushPath {
    const batch = this.pending;
    this.pending = undefined;
    if (!batch || this.isGone) return 'gone';
    // The wire is looked up once, and then as little as possible is checked: every object that is touched here shows in the sum.
    this.idleWire ??= wireBehind(this.socket.conn as unknown as Engine);
    const wire = this.idleWire;
    if (wire?.writableLength === 0 && wire.writable && !this.isInFlight && !this.isOverheard() && batch.isFramed) {
      this.writeDirectly(wire, batch.buffers);
      return 'direct';
    }
    if (!this.isOverheard() && batch.isFramed && takesFrames(this.socket.conn as unknown as Engine)) {
      this.queueInEngine(batch);
      return 'queued';
    }
    this.writeAsStock(batch);
    return 'stock';
  }

  private writeDirectly(wire: NetSocket, buffers: readonly Buffer[]): void {
    const [only] = buffers;
    if (buffers.length === 1 && only) {
      this.isInFlight = !writeNow(wire, only, this);
      return;
    }
    wire.cork();
    for (const buffer of buffers) wire.write(buffer);
    wire.uncork();
  }

  /** One engine packet for each buffer, which holds the frames of several events. */
  private queueInEngine({ engineOptions }: FrameBatch): void {
    const client = this.socket.client as unknown as Client;
    for (const options of engineOptions) client.writeToEngine(NO_DATA, options);
  }

  private writeAsStock({ events }: FrameBatch): void {
    const { socket } = this;
    const client = socket.client as unknown as Client;
    for (const { packets, engineOptions, name, payload } of events) {
      if (this.isOverheard()) socket.emit(name as never, payload as never);
      else client.writeToEngine(packets, engineOptions);
    }
  }

  /** Whether somebody listens to outgoing packets. `listenersAnyOutgoing` would make an array to say that nobody does. */
  private isOverheard(): boolean {
    const { _anyOutgoingListeners: listeners } = this.socket as unknown as SocketInternals;
    return listeners !== undefined && listeners.length > 0;
  }
}
