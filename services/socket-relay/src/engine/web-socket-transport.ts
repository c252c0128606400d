import type { EventEmitter } from 'node:events';
import type { IncomingMessage } from 'node:http';
import type { Socket as NetSocket } from 'node:net';
import { readLittle, readMuch } from '@groupcast/service-kit';
import { Transport, transports } from 'engine.io';
import { type Holder, readingTurns, unfinished } from './unfinished.ts';
import { dropUnread, ownUnread, pendingInMessages, REFUSED_GRACE_MS } from './wire.ts';

type Request = ConstructorParameters<typeof transports.websocket>[0];
type WebSocket = NonNullable<Request['websocket']>;
type Packets = Parameters<Transport['send']>[0];
type SendDone = (error?: Error | null) => void;

interface FramedPacket {
  options?: { wsPreEncodedFrame?: readonly Buffer[] };
}
interface Receiver extends EventEmitter {
  _maxFragments?: number;
  _maxBufferedChunks?: number;
  _maxPayload?: number;
  _loop?: boolean;
}
/** What has no public name: without a TCP socket each packet is a write, without a sender that takes frames they go the ordinary way. */
interface WebSocketInternals {
  _receiver?: Receiver | null;
  _socket?: NetSocket | null;
  _sender?: { sendFrame?(frame: readonly Buffer[], done: SendDone): void } | null;
}

/** Pieces of one unfinished message, as frames and as reads from the network: each takes memory besides its bytes. */
const MAX_FRAGMENTS = 256;
const MAX_BUFFERED_CHUNKS = 4_096;
/** Engine.IO's own packets and WebSocket pings: a client that keeps to the protocol sends one in each interval of the heartbeat. */
const MAX_CONTROL_PACKETS = 100;
const CONTROL_WINDOW_MS = 10_000;
/** What Engine.IO's packet type for messages is on the wire. */
const MESSAGE = '4'.charCodeAt(0);

/** ws waits for half a minute for a peer to close as well; what it has sent until then is kept and taken apart. In milliseconds. */
const CLOSE_WITHIN_MS = 5_000;
/** Room for what probes an upgrade. Of a session's own transport more is allowed, see `allowBytes`. */
const PROBE_BYTES = 4_096;
/** An unsettled WebSocket that has sent so much without a pause waits for its turn, in bytes; and with its first piece, which most need only. */
const UNPACED_BYTES = 16_384;
const FIRST_BYTES = 4_096;
/** What ws allows by itself. */
const DEFAULT_FRAGMENTS = 16_384;
const DEFAULT_BUFFERED_CHUNKS = 262_144;

const TRANSPORT = Symbol('transport');

function transportOf(webSocket: WebSocket): WebSocketTransport {
  return (webSocket as unknown as { [TRANSPORT]: WebSocketTransport })[TRANSPORT];
}

function onMessage(this: WebSocket, data: Buffer, isBinary: boolean): void {
  const transport = transportOf(this);
  // Of one that is closing nothing is read any more, and not much is listened to.
  if (transport.readyState !== 'open') return void transport.takeControl();
  if (!isBinary && data[0] !== MESSAGE && !transport.takeControl()) return;
  transport.take(isBinary ? data : data.toString());
}

function onControl(this: WebSocket): void {
  transportOf(this).takeControl();
}

function onError(this: WebSocket, error: Error): void {
  const transport = transportOf(this);
  transport.fail(error.message);
  if (transport.isUnsettled) transport.endUnread();
}

/** ws's own listener, which closes without a word, and the name under which what is ws's has its WebSocket: the same for all. */
let closeWithCode: ((this: Receiver, error: Error) => void) | undefined;
let webSocketKey: symbol | undefined;

function transportBehind(part: object): WebSocketTransport | undefined {
  const webSocket = webSocketKey && (part as Record<symbol, WebSocket | undefined>)[webSocketKey];
  return webSocket && transportOf(webSocket);
}

function onReceiverError(this: Receiver, error: NodeJS.ErrnoException): void {
  const isTold = error.code === 'WS_ERR_UNSUPPORTED_MESSAGE_LENGTH' && transportBehind(this)?.refuseTooLarge();
  if (!isTold) closeWithCode?.call(this, error);
}

function onUnsettledData(this: NetSocket, chunk: Buffer): void {
  transportBehind(this)?.pace(chunk.length);
}

function watchUnsettled(webSocket: WebSocket): void {
  const { _receiver: receiver, _socket: wire } = webSocket as unknown as WebSocketInternals;
  if (!receiver || !wire) return;
  webSocketKey ??= Object.getOwnPropertySymbols(receiver).find(
    (key) => (receiver as unknown as Record<symbol, unknown>)[key] === webSocket,
  );
  const [own] = receiver.listeners('error') as (typeof closeWithCode)[];
  if (own) {
    closeWithCode = own;
    receiver.off('error', own).on('error', onReceiverError);
  }
  wire.on('data', onUnsettledData);
  readLittle(wire);
}

function onClose(this: WebSocket): void {
  transportOf(this).closed();
}

/**
 * Engine.IO's WebSocket transport for many connections that are idle: what Engine.IO's own makes eight functions for, each
 * time, is shared by all of them here. It does the same in the same order, and with fewer writes: several packets are one.
 */
export class WebSocketTransport extends Transport implements Holder {
  /** Set by Engine.IO's server: what messages are compressed with, or something false. */
  perMessageDeflate: unknown = null;
  readonly socket: WebSocket;
  /** It takes nothing now, but only until this turn of the event loop has ended. */
  isHeld = false;
  private control: { since: number; count: number } | undefined;
  /** Until it is settled: what ws was told of the largest message, and what has come since it last paused, in bytes. */
  private maxPayload: number | undefined;
  private unpaced = UNPACED_BYTES - FIRST_BYTES;
  private onTooLarge: (() => void) | undefined;

  constructor(request: Request) {
    super(request);
    if (!request.websocket) throw new Error('a WebSocket transport needs a request that was upgraded');
    this.socket = request.websocket;
    Object.assign(this.socket, { [TRANSPORT]: this });
    this.maxPayload = (this.socket as unknown as WebSocketInternals)._receiver?._maxPayload;
    watchUnsettled(this.socket);
    this.limit({ _maxFragments: MAX_FRAGMENTS, _maxBufferedChunks: MAX_BUFFERED_CHUNKS });
    this.allowBytes(PROBE_BYTES);
    this.socket.on('message', onMessage);
    this.socket.on('ping', onControl);
    this.socket.on('pong', onControl);
    this.socket.on('close', onClose);
    this.socket.on('error', onError);
    this.writable = true;
  }

  get name(): string {
    return 'websocket';
  }

  /** Read from the prototype. */
  get handlesUpgrades(): boolean {
    return true;
  }

  send(packets: Packets): void {
    this.writable = false;
    const last = packets.length - 1;
    const wire = last > 0 ? (this.socket as unknown as WebSocketInternals)._socket : undefined;
    wire?.cork();
    try {
      packets.forEach((packet, index) => this.sendOne(packet, index === last));
    } finally {
      wire?.uncork();
    }
  }

  /** What is sent until this turn of the event loop has ended goes out in one write. */
  holdTurn(): void {
    if (!this.writable) return;
    this.writable = false;
    this.isHeld = true;
    setImmediate(() => {
      this.isHeld = false;
      this.ready();
    });
  }

  doClose(done?: () => void): void {
    this.socket.close();
    const late = setTimeout(() => this.socket.terminate(), CLOSE_WITHIN_MS).unref();
    this.socket.once('close', () => clearTimeout(late));
    done?.();
  }

  /** The connection's user is known, or its back end, which may send what is large in as many pieces as it likes. */
  settle(isTrusted: boolean): void {
    this.forget();
    const { _socket: wire } = this.socket as unknown as WebSocketInternals;
    if (wire) readMuch(wire);
    ownUnread(this.socket);
    if (this.maxPayload !== undefined) this.limit({ _maxPayload: this.maxPayload });
    this.maxPayload = undefined;
    this.onTooLarge = undefined;
    if (isTrusted) this.limit({ _maxFragments: DEFAULT_FRAGMENTS, _maxBufferedChunks: DEFAULT_BUFFERED_CHUNKS });
  }

  /** How large a message may be while it is unsettled: a larger one is refused by its header. `onTooLarge` ends the connection. */
  allowBytes(bytes: number, onTooLarge?: () => void): void {
    if (this.maxPayload === undefined) return;
    this.limit({ _maxPayload: Math.min(bytes, this.maxPayload) });
    this.onTooLarge = onTooLarge;
  }

  /** False: nobody here can say so. */
  refuseTooLarge(): boolean {
    if (!this.onTooLarge) return false;
    this.onTooLarge();
    return true;
  }

  get isUnsettled(): boolean {
    return this.maxPayload !== undefined;
  }

  /** It may still read why, and nothing more is read of it: ws would throw away whatever comes until its peer closes as well. */
  endUnread(): void {
    const { _socket: wire } = this.socket as unknown as WebSocketInternals;
    // ws reads on in the next tick.
    process.nextTick(() => wire?.pause());
    dropUnread(this.socket);
    unfinished.hold(this, 0);
    setTimeout(() => this.socket.terminate(), REFUSED_GRACE_MS).unref();
  }

  /** Counts what has come while it is unsettled, and what is kept of it. */
  pace(bytes: number): void {
    unfinished.hold(this, pendingInMessages(this.socket));
    this.unpaced += bytes;
    if (this.unpaced < UNPACED_BYTES) return;
    this.unpaced = 0;
    readingTurns.wait(this.socket);
  }

  cutUnfinished(): void {
    this.cut();
  }

  /** Ends it at once: what has come with the same read is not looked at. */
  cut(): void {
    const { _receiver: receiver } = this.socket as unknown as WebSocketInternals;
    if (receiver) receiver._loop = false;
    this.socket.terminate();
  }

  /** Counts a packet that is no message. False: there are too many, and the connection is cut. */
  takeControl(): boolean {
    const now = performance.now();
    if (!this.control || now - this.control.since >= CONTROL_WINDOW_MS) this.control = { since: now, count: 0 };
    this.control.count += 1;
    if (this.control.count <= MAX_CONTROL_PACKETS) return true;
    this.fail('too many control packets');
    this.cut();
    return false;
  }

  /** What has come: text, or bytes. */
  take(data: string | Buffer): void {
    this.onData(data);
  }

  fail(why: string, description?: unknown): void {
    this.onError(why, description);
  }

  closed(): void {
    this.forget();
    this.onClose();
  }

  private forget(): void {
    unfinished.hold(this, 0);
    readingTurns.end(this.socket);
    const { _socket: wire } = this.socket as unknown as WebSocketInternals;
    wire?.off('data', onUnsettledData);
  }

  private limit(limits: Partial<Receiver>): void {
    const { _receiver: receiver } = this.socket as unknown as WebSocketInternals;
    if (receiver) Object.assign(receiver, limits);
  }

  private sendOne(packet: Packets[number], isLast: boolean): void {
    const sent: SendDone = (error) => {
      if (error) this.fail('write error', error.stack);
      else if (isLast) this.drained();
    };
    const frame = this.perMessageDeflate ? undefined : (packet as FramedPacket).options?.wsPreEncodedFrame;
    const sender = (this.socket as unknown as WebSocketInternals)._sender;
    if (frame && sender?.sendFrame) sender.sendFrame(frame, sent);
    else {
      this.parser.encodePacket(packet, this.supportsBinary, (data: string | Buffer) => this.socket.send(data, sent));
    }
  }

  private drained(): void {
    this.emit('drain');
    this.ready();
  }

  private ready(): void {
    this.writable = true;
    this.emit('ready');
  }
}

/** Holds what is sent to a connection until this turn of the event loop has ended. (Polling gathers by itself.) */
export function holdTurn({ transport }: { transport: unknown }): void {
  if (transport instanceof WebSocketTransport) transport.holdTurn();
}

/** Whether a connection has been given something that it has not got rid of. */
export function isBusy({ transport }: { transport: { writable: boolean } }): boolean {
  return !transport.writable && !(transport instanceof WebSocketTransport && transport.isHeld);
}

/** Closes a connection; a WebSocket with a code and a reason, which are in a stock client's `disconnect`. */
export function closeSaying(conn: { transport: unknown; close(): void }, code: number, reason: string): void {
  if (conn.transport instanceof WebSocketTransport) conn.transport.socket.close(code, reason);
  conn.close();
}

/** The answer to an upgrade and Engine.IO's first packet, which follows in the same turn, go out in one write. */
export function answerUpgradesInOneWrite(engine: EventEmitter): void {
  engine.on('headers', (_answered: unknown, { headers, socket }: IncomingMessage) => {
    if (headers.upgrade === undefined) return;
    socket.cork();
    setImmediate(() => socket.uncork());
  });
}

/** For every Engine.IO server of this process. */
export function useWebSocketTransport(): void {
  Object.assign(transports, { websocket: WebSocketTransport });
}

/** See `WebSocketTransport.allowBytes`; also once the connection has left polling for a WebSocket. */
export function allowBytes(
  conn: Pick<EventEmitter, 'once'> & { transport: unknown },
  bytes: number,
  onTooLarge: () => void,
): void {
  if (conn.transport instanceof WebSocketTransport) conn.transport.allowBytes(bytes, onTooLarge);
  else
    conn.once('upgrade', (transport: unknown) => {
      if (transport instanceof WebSocketTransport) transport.allowBytes(bytes, onTooLarge);
    });
}

/** See `WebSocketTransport.settle`; also once the connection has left polling for a WebSocket. */
export function settleTransport(conn: Pick<EventEmitter, 'once'> & { transport: unknown }, isTrusted: boolean): void {
  if (conn.transport instanceof WebSocketTransport) conn.transport.settle(isTrusted);
  else
    conn.once('upgrade', (transport: unknown) => {
      if (transport instanceof WebSocketTransport) transport.settle(isTrusted);
    });
}
