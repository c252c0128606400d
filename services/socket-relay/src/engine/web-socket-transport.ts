import type { EventEmitter } from 'node:events';
import type { IncomingMessage } from 'node:http';
import type { Socket as NetSocket } from 'node:net';
import { readLittle, readMuch } from '@groupcast/service-kit';
import { Transport, type transports } from 'engine.io';
import { framesOf } from './packet-frames.ts';
import { replaceTransport } from './replace-transport.ts';
import { type Holder, readingTurns, unfinished } from './unfinished.ts';
import { dropUnread, pendingInMessages, REFUSED_GRACE_MS } from './wire.ts';

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
/** Fields without a public name. Without a TCP socket each packet is a write; without a sender that takes frames they go the ordinary way. */
interface WebSocketInternals {
  _receiver?: Receiver | null;
  _socket?: NetSocket | null;
  _sender?: { sendFrame?(frame: readonly Buffer[], done: SendDone): void } | null;
}

/** Most pieces of one unfinished message, as frames and as reads from the network: each takes memory besides its bytes. */
const MAX_FRAGMENTS = 256;
const MAX_BUFFERED_CHUNKS = 4_096;
/** Most packets of Engine.IO and pings of WebSocket in 10 s: a client that keeps to the protocol sends one in each interval of the heartbeat. */
const MAX_CONTROL_PACKETS = 100;
const CONTROL_WINDOW_MS = 10_000;
/** Engine.IO's packet type for messages, as it is on the wire. */
const MESSAGE = '4'.charCodeAt(0);

/**
 * How long a closing WebSocket may take, in milliseconds. ws would wait for half a minute, and would keep and parse what the peer sends
 * until then.
 */
const CLOSE_WITHIN_MS = 5_000;
/** Largest message that probes an upgrade, in bytes. A session's own transport may send more, see `allowBytes`. */
const PROBE_BYTES = 4_096;
/** Bytes that an unsettled WebSocket may send without a pause before it waits for its turn, and those that it may send at first. */
const UNPACED_BYTES = 16_384;
const FIRST_BYTES = 4_096;
/** Most pieces of one unfinished message that ws allows by itself. */
const DEFAULT_FRAGMENTS = 16_384;
const DEFAULT_BUFFERED_CHUNKS = 262_144;

const WEB_SOCKET_OPEN = 1;
const TRANSPORT = Symbol('transport');

function transportOf(webSocket: WebSocket): WebSocketTransport {
  return (webSocket as unknown as { [TRANSPORT]: WebSocketTransport })[TRANSPORT];
}

function onMessage(this: WebSocket, data: Buffer, isBinary: boolean): void {
  const transport = transportOf(this);
  // A closing WebSocket is read no more, and hardly listened to.
  if (transport.readyState === 'open') transport.receive(data, isBinary);
  else transport.takeControl();
}

function onControl(this: WebSocket): void {
  transportOf(this).takeControl();
}

function onPong(this: WebSocket): void {
  transportOf(this).takePong();
}

function onError(this: WebSocket, error: Error): void {
  const transport = transportOf(this);
  transport.fail(error.message);
  if (transport.isUnsettled) transport.endUnread();
}

/** ws's own listener, which closes without a word, and the symbol under which ws's parts have their WebSocket: the same for all. */
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
 * Engine.IO's WebSocket transport for many idle connections. Engine.IO makes eight functions for each connection; here all connections
 * share them. It does the same in the same order, and with fewer writes: several packets are one.
 */
export class WebSocketTransport extends Transport implements Holder {
  /** Set by Engine.IO's server: how messages are compressed, or something false. */
  perMessageDeflate: unknown = null;
  readonly socket: WebSocket;
  /** Whether it takes nothing now, but only until this turn of the event loop has ended. */
  isHeld = false;
  private control: { since: number; count: number } | undefined;
  /** Until it is settled: the largest message that ws was told to allow, and the bytes that have come since it last paused. */
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
    this.socket.on('pong', onPong);
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
    const sender = (this.socket as unknown as WebSocketInternals)._sender;
    const frames = this.isPlain() ? framesOf(packets) : undefined;
    if (frames && sender?.sendFrame) {
      sender.sendFrame([frames], (error) => {
        if (error) this.fail('write error', error.stack);
        else this.drained();
      });
      return;
    }
    const last = packets.length - 1;
    const wire = last > 0 ? (this.socket as unknown as WebSocketInternals)._socket : undefined;
    wire?.cork();
    try {
      packets.forEach((packet, index) => this.sendOne(packet, index === last));
    } finally {
      wire?.uncork();
    }
  }

  /** Sends everything from now until this turn of the event loop has ended with one write. */
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
    this.closeSocket();
    const late = setTimeout(() => this.socket.terminate(), CLOSE_WITHIN_MS).unref();
    this.socket.once('close', () => clearTimeout(late));
    done?.();
  }

  /** The connection belongs to a known user or a back end, which may send large messages in as many pieces as it likes. */
  settle(isTrusted: boolean): void {
    this.forget();
    const { _socket: wire } = this.socket as unknown as WebSocketInternals;
    if (wire) readMuch(wire);
    if (this.maxPayload !== undefined) this.limit({ _maxPayload: this.maxPayload });
    this.maxPayload = undefined;
    this.onTooLarge = undefined;
    if (isTrusted) this.limit({ _maxFragments: DEFAULT_FRAGMENTS, _maxBufferedChunks: DEFAULT_BUFFERED_CHUNKS });
  }

  /** Sets the largest message while it is unsettled: a larger one is refused by its header. `onTooLarge` ends the connection. */
  allowBytes(bytes: number, onTooLarge?: () => void): void {
    if (this.maxPayload === undefined) return;
    this.limit({ _maxPayload: Math.min(bytes, this.maxPayload) });
    this.onTooLarge = onTooLarge;
  }

  /** Returns false if nobody here can say so. */
  refuseTooLarge(): boolean {
    if (!this.onTooLarge) return false;
    this.onTooLarge();
    return true;
  }

  get isUnsettled(): boolean {
    return this.maxPayload !== undefined;
  }

  /** The client may still read why, and is read no more: ws would throw away whatever comes until its peer closes as well. */
  endUnread(): void {
    const { _socket: wire } = this.socket as unknown as WebSocketInternals;
    // ws reads on in the next tick.
    process.nextTick(() => wire?.pause());
    dropUnread(this.socket);
    unfinished.hold(this, 0);
    setTimeout(() => this.socket.terminate(), REFUSED_GRACE_MS).unref();
  }

  /** Counts the bytes that have come while it is unsettled. The piece with which it settles comes here too: its listeners are called to the last one. */
  pace(bytes: number): void {
    if (!this.isUnsettled) return;
    unfinished.hold(this, this.pendingBytes());
    this.unpaced += bytes;
    if (this.unpaced < UNPACED_BYTES) return;
    this.unpaced = 0;
    readingTurns.wait(this.socket);
  }

  cutUnfinished(): void {
    this.cut();
  }

  /** Ends it at once: later bytes of the same read are not looked at. */
  cut(): void {
    const { _receiver: receiver } = this.socket as unknown as WebSocketInternals;
    if (receiver) receiver._loop = false;
    this.socket.terminate();
  }

  /** Counts a packet that is no message. Returns false if there are too many, and the connection is cut. */
  takeControl(): boolean {
    const now = performance.now();
    if (!this.control || now - this.control.since >= CONTROL_WINDOW_MS) this.control = { since: now, count: 0 };
    this.control.count += 1;
    if (this.control.count <= MAX_CONTROL_PACKETS) return true;
    this.fail('too many control packets');
    this.cut();
    return false;
  }

  /** Takes a message of the WebSocket: text, or bytes. */
  receive(data: Buffer, isBinary: boolean): void {
    if (!isBinary && data[0] !== MESSAGE && !this.takeControl()) return;
    this.onData(isBinary ? data : data.toString());
  }

  takePong(): void {
    this.takeControl();
  }

  fail(why: string, description?: unknown): void {
    this.onError(why, description);
  }

  closed(): void {
    this.forget();
    this.onClose();
  }

  /** Bytes that are kept for it until it is settled. */
  protected pendingBytes(): number {
    return pendingInMessages(this.socket);
  }

  protected closeSocket(): void {
    this.socket.close();
  }

  protected drained(): void {
    this.emit('drain');
    this.ready();
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

  /** Whether frames are written as they are: nothing compresses them, and ws would not refuse them. */
  private isPlain(): boolean {
    const { readyState, extensions } = this.socket;
    return this.protocol === 4 && !this.perMessageDeflate && readyState === WEB_SOCKET_OPEN && extensions === '';
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

  private ready(): void {
    this.writable = true;
    this.emit('ready');
  }
}

/** Holds the packets for a connection until this turn of the event loop has ended. (Polling gathers by itself.) */
export function holdTurn({ transport }: { transport: unknown }): void {
  if (transport instanceof WebSocketTransport) transport.holdTurn();
}

/** Whether a connection has packets that have not left yet. */
export function isBusy({ transport }: { transport: { writable: boolean } }): boolean {
  return !transport.writable && !(transport instanceof WebSocketTransport && transport.isHeld);
}

/** Closes a connection. A WebSocket is closed with a code and a reason, which are in a stock client's `disconnect`. */
export function closeSaying(conn: { transport: unknown; close(): void }, code: number, reason: string): void {
  if (conn.transport instanceof WebSocketTransport) conn.transport.socket.close(code, reason);
  conn.close();
}

/** Sends the answer to an upgrade and Engine.IO's first packet, which follows in the same turn, with one write. */
export function answerUpgradesInOneWrite(engine: EventEmitter): void {
  engine.on('headers', (_answered: unknown, { headers, socket }: IncomingMessage) => {
    if (headers.upgrade === undefined) return;
    socket.cork();
    setImmediate(() => socket.uncork());
  });
}

export function attachWebSocketTransport(engine: unknown): void {
  replaceTransport(engine, 'websocket', (request: Request) => new WebSocketTransport(request));
}

/** Calls `WebSocketTransport.allowBytes`, and again once the connection has left polling for a WebSocket. */
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

/** Calls `WebSocketTransport.settle`, and again once the connection has left polling for a WebSocket. */
export function settleTransport(conn: Pick<EventEmitter, 'once'> & { transport: unknown }, isTrusted: boolean): void {
  if (conn.transport instanceof WebSocketTransport) conn.transport.settle(isTrusted);
  else
    conn.once('upgrade', (transport: unknown) => {
      if (transport instanceof WebSocketTransport) transport.settle(isTrusted);
    });
}
