import type { DoorFrame } from '@groupcast/dialects';
import type { ErrorBody, SessionEnding } from '@groupcast/shared';
import type { Socket as EngineSocket, Transport } from 'engine.io';
import { closeReason } from './close-reason.ts';
import { OWN_ID, PLAIN_VOICE, type RawVoice, rawText } from './raw-frames.ts';
import { readSentPacket, type SentPacket } from './raw-packets.ts';
import { textFrame } from './text-frames.ts';
import { WebSocketTransport } from './web-socket-transport.ts';

type Packets = Parameters<Transport['send']>[0];

interface FramedPacket {
  type: string;
  data?: unknown;
  options?: { wsPreEncodedFrame?: readonly Buffer[] };
}
interface WebSocketInternals {
  _sender?: { sendFrame(frame: readonly Buffer[], done: (error?: Error | null) => void): void } | null;
}

/** A ping without content (RFC 6455, section 5.5.2), which stands for Engine.IO's. */
const PING_FRAME = Buffer.from([0x89, 0]);
const WEB_SOCKET_OPEN = 1;

/** Close codes (RFC 6455, section 7.4.1, and the registry of IANA). */
const NORMAL = 1000;
const GOING_AWAY = 1001;
const NOT_TEXT = 1003;
const REFUSED = 1008;
const TOO_BIG = 1009;
const SERVICE_RESTART = 1012;
const TRY_AGAIN_LATER = 1013;

const CLOSE_CODES: Readonly<Record<string, number>> = {
  INVALID_PAYLOAD: REFUSED,
  PAYLOAD_TOO_LARGE: TOO_BIG,
  SERVER_DRAINING: SERVICE_RESTART,
};

/** How long a refused attempt that nobody asked for waits for an `auth` frame, which may be on its way, in milliseconds. */
const AUTH_MAY_COME_MS = 1_000;

/** The side of a raw connection that reads. */
export interface RawInbound {
  /** Bytes of frames that wait until the connection has authenticated. */
  readonly keptBytes: number;
  /** Whether another CONNECT may follow on the one that was refused. It is made at once if its frame has come. */
  refused(): boolean;
}

/**
 * A WebSocket without Socket.IO: Engine.IO's and Socket.IO's packets are translated into one JSON object each, and nothing of theirs is on
 * the wire. Everything behind it is as for any other connection. A packet that consists of nothing but its frame is written as it is.
 */
export class RawTransport extends WebSocketTransport {
  voice: RawVoice = PLAIN_VOICE;
  inbound: RawInbound | undefined;
  private socketId: string | undefined;
  private ending: { code: number; reason: string } | undefined;
  private heldRefusal: NodeJS.Timeout | undefined;
  /** The client has sent bytes in place of text. */
  private isBinary = false;

  /** Read from the prototype. */
  get isRaw(): boolean {
    return true;
  }

  override receive(data: Buffer, isBinary: boolean): void {
    this.isBinary ||= isBinary;
    this.onPacket({ type: 'message', data: isBinary ? data : data.toString() });
  }

  /** Hands what came with the upgrade to the decoder, before anything that the client sends. */
  imply(auth: object): void {
    this.onPacket({ type: 'message', data: auth });
  }

  override takePong(): void {
    if (this.takeControl() && this.readyState === 'open') this.onPacket({ type: 'pong' });
  }

  override send(packets: Packets): void {
    this.writable = false;
    const frames: Buffer[] = [];
    for (const packet of packets as readonly FramedPacket[]) this.addFrames(packet, frames);
    const { _sender: sender } = this.socket as unknown as WebSocketInternals;
    if (frames.length === 0) this.drained();
    else if (!sender || this.socket.readyState !== WEB_SOCKET_OPEN) this.fail('write error');
    else {
      sender.sendFrame([frames.length === 1 && frames[0] ? frames[0] : Buffer.concat(frames)], (error) => {
        if (error) this.fail('write error', error.stack);
        else this.drained();
      });
    }
  }

  /** Writes one of the door's own frames behind what `conn` has written. */
  say(conn: Pick<EngineSocket, 'write'>, name: DoorFrame, payload: Readonly<Record<string, unknown>>): void {
    const options = { wsPreEncodedFrame: [this.ownFrame(name, payload)] };
    // The packet consists of nothing but its frame.
    conn.write('', options as object);
  }

  sayConnected(conn: Pick<EngineSocket, 'write'>): void {
    this.say(conn, 'auth-success', { socketId: this.socketId });
  }

  /** The frames of one of the door's own, in the words of its voice. */
  private ownFrame(name: DoorFrame, payload: Readonly<Record<string, unknown>>): Buffer {
    const frames = this.voice.outgoing(name, payload).map(([type, fields]) => textFrame(rawText(type, fields)));
    return Buffer.concat(frames);
  }

  /** The attempt that was refused is followed by another one. */
  goOn(): void {
    clearTimeout(this.heldRefusal);
    this.heldRefusal = undefined;
  }

  override closed(): void {
    clearTimeout(this.heldRefusal);
    super.closed();
  }

  protected override pendingBytes(): number {
    return super.pendingBytes() + (this.inbound?.keptBytes ?? 0);
  }

  protected override closeSocket(): void {
    const { code, reason } = this.ending ?? { code: GOING_AWAY, reason: '' };
    this.socket.close(code, reason);
  }

  private addFrames({ type, data, options }: FramedPacket, frames: Buffer[]): void {
    if (type === 'ping') frames.push(PING_FRAME);
    if (type !== 'message') return;
    if (data === undefined) frames.push(...(options?.wsPreEncodedFrame ?? []));
    const packet = typeof data === 'string' ? readSentPacket(data) : undefined;
    if (packet) this.addFramesOf(packet, frames);
  }

  private addFramesOf(packet: SentPacket, frames: Buffer[]): void {
    switch (packet.kind) {
      case 'connected':
        this.socketId = packet.socketId;
        frames.push(this.ownFrame('auth-success', { socketId: packet.socketId }));
        break;
      case 'refused':
        this.refuse(packet.error, frames);
        break;
      case 'answer':
        this.addAnswer(packet.id, packet.answer, frames);
        break;
      case 'event':
        frames.push(textFrame(rawText(packet.name, packet.payload)));
        break;
      case 'disconnected':
        this.ending ??= { code: NORMAL, reason: '' };
        break;
      default:
        packet satisfies never;
    }
  }

  /** `said`: a dialect may answer anything. */
  private addAnswer(id: number, said: unknown, frames: Buffer[]): void {
    const isObject = typeof said === 'object' && said !== null && !Array.isArray(said);
    const answer = (isObject ? said : { payload: said }) as Readonly<Record<string, unknown>>;
    if (id === OWN_ID) {
      if (answer['ok'] === true) frames.push(this.ownFrame('auth-success', { socketId: this.socketId }));
      else this.end(answer['error'] as ErrorBody, frames);
      return;
    }
    const hasOwnNames = Object.hasOwn(answer, 'id') || Object.hasOwn(answer, 'type');
    const fields = hasOwnNames ? { ok: answer['ok'], payload: answer } : answer;
    frames.push(this.ownFrame('ack', { id, ...fields }));
  }

  private refuse(error: ErrorBody, frames: Buffer[]): void {
    if (error.retryable || !this.inbound?.refused()) {
      this.end(error, frames);
      return;
    }
    this.heldRefusal = setTimeout(() => {
      this.heldRefusal = undefined;
      if (this.readyState !== 'open' || this.socket.readyState !== WEB_SOCKET_OPEN) return;
      const late: Buffer[] = [];
      this.end(error, late);
      for (const frame of late)
        (this.socket as unknown as WebSocketInternals)._sender?.sendFrame([frame], () => undefined);
    }, AUTH_MAY_COME_MS);
  }

  /** Says why, and closes once that is written. Nothing more is read. */
  private end(error: ErrorBody, frames: Buffer[]): void {
    frames.push(this.ownFrame('auth-error', { ...error }));
    this.endWith(error, error.retryable ? TRY_AGAIN_LATER : REFUSED);
    process.nextTick(() => this.close());
  }

  /** The session ends, and the connection is closed for this reason. */
  noteEnding(ending: SessionEnding): void {
    this.endWith(ending, ending.next === 'stop' ? REFUSED : TRY_AGAIN_LATER);
  }

  private endWith(error: { code: string; message: string }, otherwise: number): void {
    const code = this.isBinary ? NOT_TEXT : (CLOSE_CODES[error.code] ?? otherwise);
    this.ending = { code, reason: closeReason(error) };
  }
}
