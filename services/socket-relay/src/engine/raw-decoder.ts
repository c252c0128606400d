import type { Socket as EngineSocket } from 'engine.io';
import { PacketType } from 'socket.io-parser';
import {
  BoundedDecoder,
  flooded,
  type Intake,
  judgeItemsOfUser,
  judgeUnauthenticatedItems,
  malformed,
  type PacketBounds,
  tooLarge,
  unauthenticatedTooLarge,
} from './packet-decoder.ts';
import { AUTH, eventPacket, OWN_ID, PING, type RawFrame, RENEW, readRawFrame } from './raw-frames.ts';
import type { RawInbound, RawTransport } from './raw-transport.ts';
import { unfinished } from './unfinished.ts';

/** Most characters of frames that wait for the connection to authenticate. */
const KEPT_LENGTH = 16_384;

/** The credentials that came with the upgrade of a connection. They stand for an `auth` frame. */
export class ImpliedAuth {
  readonly auth: object;
  /** The client may not know of them, as a page does not know of cookies, and may send an `auth` frame of its own. */
  readonly isUnasked: boolean;

  constructor(auth: object, isUnasked: boolean) {
    this.auth = auth;
    this.isUnasked = isUnasked;
  }
}

/**
 * Reads the frames of a raw connection behind the bounds of Socket.IO's packets, and hands them to Socket.IO as packets. The first is `auth`,
 * which becomes a CONNECT; frames that come while it is being checked are kept, and handled in their order once it has been accepted.
 */
export class RawDecoder extends BoundedDecoder implements RawInbound {
  private readonly transport: RawTransport;
  private readonly engine: EngineSocket;
  /** `implied`: a CONNECT is under way for what came with the upgrade, unasked. */
  private phase: 'waiting' | 'implied' | 'connecting' | 'in' = 'waiting';
  private frames = 0;
  private kept: string[] | undefined;
  /** Characters of what is kept, without those of its first `auth`. */
  private keptLength = 0;
  /** Characters of the first `auth` that is kept while what came with the upgrade is being checked. */
  private keptAuthLength = 0;
  /** Its first `auth` may still come, and renews what came with the upgrade. */
  private mayRenew = false;

  constructor(conn: EngineSocket, bounds: PacketBounds) {
    super(conn, bounds);
    this.engine = conn;
    this.transport = conn.transport as unknown as RawTransport;
    this.transport.inbound = this;
  }

  get keptBytes(): number {
    return this.keptLength + this.keptAuthLength;
  }

  override add(data: unknown): void {
    if (this.state === 'refused') return;
    if (data instanceof ImpliedAuth) this.connect(data.auth, data.isUnasked ? 'implied' : 'connecting');
    else if (typeof data !== 'string') this.refuse(malformed('it is binary, and a frame is one JSON object as text'));
    else if (this.phase === 'in' && !this.kept) this.addInside(data);
    else this.addBefore(data);
  }

  override admit(intake: Intake | undefined): void {
    super.admit(intake);
    this.mayRenew = this.phase === 'implied';
    this.phase = 'in';
    // Socket.IO has told its listeners by then.
    if (this.kept) process.nextTick(() => this.addKept());
  }

  refused(): boolean {
    if (this.state !== 'unauthenticated' || this.phase !== 'implied') return false;
    this.phase = 'waiting';
    const frames = this.kept ?? [];
    const index = frames.findIndex((text) => this.read(text)?.type === AUTH);
    const [auth] = index < 0 ? [] : frames.splice(index, 1);
    this.keptAuthLength = 0;
    unfinished.hold(this.transport, this.keptBytes);
    // Socket.IO forgets the refused socket in this turn.
    if (auth !== undefined) process.nextTick(() => this.authenticate(this.read(auth)));
    return true;
  }

  private connect(auth: object, phase: 'implied' | 'connecting'): void {
    this.phase = phase;
    this.emitReserved('decoded', { type: PacketType.CONNECT, nsp: '/', data: auth });
  }

  private authenticate(frame: RawFrame | undefined): void {
    if (!frame || this.state === 'refused') return;
    this.transport.goOn();
    this.connect(frame.fields, 'connecting');
  }

  /** Counts a frame of a connection that has not authenticated, and checks its cost before it is parsed. */
  private addBefore(text: string): void {
    const { limits } = this.bounds;
    this.frames += 1;
    if (this.frames > limits.unauthenticatedPackets) {
      this.refuse(flooded());
      return;
    }
    const tooMuch =
      text.length > limits.unauthenticatedLength
        ? unauthenticatedTooLarge(limits)
        : judgeUnauthenticatedItems(text, limits);
    if (tooMuch) {
      this.refuse(tooMuch);
      return;
    }
    const frame = this.read(text);
    if (!frame) return;
    if (frame.type === PING) this.pong(frame);
    else if (this.phase !== 'waiting') this.keep(text, frame);
    else if (frame.type === AUTH) this.authenticate(frame);
    else this.refuse(malformed('a connection begins with {"type":"auth","token":…}'));
  }

  private keep(text: string, { type }: RawFrame): void {
    // Its own length is bounded as that of every `auth`, and takes no room from what follows.
    const isFirstAuth = type === AUTH && this.phase === 'implied' && this.keptAuthLength === 0;
    if (!isFirstAuth && this.keptLength + text.length > KEPT_LENGTH) {
      this.refuse(tooLarge(`before a connection has authenticated, ${KEPT_LENGTH} characters of it may wait`));
      return;
    }
    this.kept ??= [];
    this.kept.push(text);
    if (isFirstAuth) this.keptAuthLength = text.length;
    else this.keptLength += text.length;
    unfinished.hold(this.transport, this.keptBytes);
  }

  private addKept(): void {
    const frames = this.kept ?? [];
    this.kept = undefined;
    this.keptLength = 0;
    this.keptAuthLength = 0;
    for (const text of frames) if (this.state !== 'refused') this.addInside(text);
  }

  private addInside(text: string): void {
    const { intake } = this;
    if (intake && !intake.take(text.length)) {
      this.refuse(flooded());
      return;
    }
    const tooMuch = judgeItemsOfUser(text, this.bounds.limits);
    if (tooMuch) {
      this.refuse(tooMuch);
      return;
    }
    const frame = this.read(text);
    if (!frame) return;
    if (frame.type === PING) this.pong(frame);
    else if (frame.type === AUTH) this.renew(frame);
    else this.emitEvent(frame);
  }

  /** A connection that authenticated with its upgrade may say who it is once more, since a page that always does knows of no cookie. */
  private renew({ fields }: RawFrame): void {
    if (!this.mayRenew) {
      this.refuse(malformed('it has authenticated already; a new token comes with refresh-token'));
      return;
    }
    this.mayRenew = false;
    const { token } = fields;
    if (token === undefined || token === null) this.transport.sayConnected(this.engine);
    else this.emitEvent({ type: RENEW, id: OWN_ID, fields: { token } });
  }

  private emitEvent(frame: RawFrame): void {
    const packet = eventPacket(frame);
    if (packet) this.emitReserved('decoded', packet);
    else this.refuse(malformed(`the type "${frame.type.slice(0, 64)}" is reserved`));
  }

  private pong({ id }: RawFrame): void {
    this.transport.say(this.engine, 'pong', id === undefined ? {} : { id });
  }

  /** Returns nothing for a frame that is none, and refuses it. */
  private read(text: string): RawFrame | undefined {
    const frame = readRawFrame(text);
    if (typeof frame === 'string') {
      this.refuse(malformed(frame));
      return undefined;
    }
    return { ...frame, ...this.transport.voice.incoming(frame.type, frame.fields) };
  }
}
