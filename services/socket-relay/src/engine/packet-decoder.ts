import type { EventEmitter } from 'node:events';
import { GroupcastError, hasMoreItemsThan } from '@groupcast/shared';
import type { Socket as EngineSocket } from 'engine.io';
import { Decoder, Encoder, type Packet, PacketType } from 'socket.io-parser';

/** Bounds of a connection's packets before the relay knows whose it is, and of one packet of a known user. */
export interface PacketLimits {
  /** Most packets of a connection that has not authenticated; a client may try a few tokens. */
  unauthenticatedPackets: number;
  /** Largest such packet, in UTF-16 code units: a token, and the positions of a returning client. */
  unauthenticatedLength: number;
  /** Most commas, colons and brackets in such a packet: parsing it costs time by its items, not by its bytes. */
  unauthenticatedItems: number;
  /** Most commas, colons and brackets in a packet of a user. */
  userItems: number;
}

/** The owner of a connection, as far as its packets are concerned. */
export interface Intake {
  /** Counts a packet of `length` UTF-16 code units. Returns false if too many come, and this one must not be decoded. */
  take(length: number): boolean;
  /** Ends the connection because of a packet that is not decoded. */
  refuse(error: GroupcastError): void;
}

/** Stands for the packets of a polling payload that has too many; see polling-transport.ts. */
export const TOO_MANY_PACKETS = Symbol('too many packets in one payload');

/** Characters of a packet's type, its namespace `/,` and the number of its acknowledgement; the JSON begins after them. */
const MAX_HEAD_LENGTH = 24;
/** Packets up to this size are parsed without counting their items. */
const SMALL_LENGTH = 2_048;
/** Longest part of a namespace that does not exist which an answer repeats. */
const MAX_NAMESPACE_LENGTH = 64;

export function tooLarge(what: string): GroupcastError {
  return new GroupcastError('PAYLOAD_TOO_LARGE', `unable to read the packet; ${what}`);
}

export function unauthenticatedTooLarge({ unauthenticatedLength }: PacketLimits): GroupcastError {
  return tooLarge(`before a connection has authenticated, it may have ${unauthenticatedLength} characters`);
}

export function malformed(why: string): GroupcastError {
  return new GroupcastError('INVALID_PAYLOAD', `unable to read the packet; ${why}`);
}

/** Returns the namespace that a packet names, if that is not the only one there is. */
function foreignNamespace(packet: string): string | undefined {
  if (packet[1] !== '/' || packet.startsWith('/,', 1) || packet.length === 2) return undefined;
  const end = packet.indexOf(',');
  return packet.slice(1, Math.min(end < 0 ? packet.length : end, MAX_NAMESPACE_LENGTH));
}

/** Whether the JSON of a packet begins where it must: Socket.IO's parser walks through the rest letter by letter. */
function hasShortHead(packet: string): boolean {
  if (packet.length <= MAX_HEAD_LENGTH) return true;
  const start = packet.slice(0, MAX_HEAD_LENGTH).search(/[[{"]/);
  return start > 0;
}

export function judgeUnauthenticatedItems(
  text: string,
  { unauthenticatedItems: max }: PacketLimits,
): GroupcastError | undefined {
  if (text.length <= SMALL_LENGTH || !hasMoreItemsThan(text, max)) return undefined;
  return tooLarge(`before a connection has authenticated, it may have ${max} items`);
}

export function judgeItemsOfUser(text: string, { userItems: max }: PacketLimits): GroupcastError | undefined {
  if (text.length <= SMALL_LENGTH || !hasMoreItemsThan(text, max)) return undefined;
  return tooLarge(`it may have ${max} items`);
}

/** Checks a packet before anything is known of its connection: it must be a CONNECT packet, and one of few. */
function judgeUnauthenticated(packet: string, limits: PacketLimits): GroupcastError | undefined {
  if (packet.length > limits.unauthenticatedLength) {
    return unauthenticatedTooLarge(limits);
  }
  const namespace = foreignNamespace(packet);
  if (namespace !== undefined) {
    return new GroupcastError('NOT_FOUND', `unable to connect; there is no namespace "${namespace}", only "/"`);
  }
  if (packet[0] !== String(PacketType.CONNECT)) return malformed('a connection begins with a CONNECT packet');
  if (!hasShortHead(packet)) return malformed('its JSON does not begin where it must');
  return judgeUnauthenticatedItems(packet, limits);
}

function judgeOfUser(packet: string, limits: PacketLimits): GroupcastError | undefined {
  const namespace = foreignNamespace(packet);
  if (namespace !== undefined) return malformed(`there is no namespace "${namespace}", only "/"`);
  if (!hasShortHead(packet)) return malformed('its JSON does not begin where it must');
  return judgeItemsOfUser(packet, limits);
}

export function flooded(): GroupcastError {
  return new GroupcastError(
    'RATE_LIMITED',
    'unable to go on; the connection sends more packets than it may, come back later',
  );
}

export interface PacketBounds {
  limits: PacketLimits;
  /** Is called once for a connection whose packet is refused; `namespace` is the one that its answer has to name. */
  onRefused: (conn: EngineSocket, error: GroupcastError, namespace: string | undefined) => void;
}

/**
 * Socket.IO's decoder behind bounds: each packet is checked for its cost before it is parsed. The first one that is refused ends the
 * connection, and nothing after it is looked at. A connection is unauthenticated until `admit` is called for it. One that is admitted
 * without an intake (a back end) has only Engine.IO's limit of bytes.
 */
export class BoundedDecoder extends Decoder {
  protected readonly conn: EngineSocket | undefined;
  protected readonly bounds: PacketBounds;
  protected state: 'unauthenticated' | 'admitted' | 'refused' = 'unauthenticated';
  protected intake: Intake | undefined;
  /** Packets of a connection that has not authenticated. For a user: attachments that are still to come, and are not kept. */
  private count = 0;

  constructor(conn: EngineSocket | undefined, bounds: PacketBounds) {
    super();
    this.conn = conn;
    this.bounds = bounds;
  }

  admit(intake: Intake | undefined): void {
    if (this.state === 'unauthenticated') this.state = 'admitted';
    this.intake = intake;
    this.count = 0;
  }

  override add(data: unknown): void {
    if (this.state === 'refused') return;
    if (data === TOO_MANY_PACKETS) this.refuse(tooLarge('the payload has too many packets'));
    else if (this.state === 'unauthenticated') this.addUnauthenticated(data);
    else if (this.intake) this.addOfUser(data, this.intake);
    else super.add(data);
  }

  private addUnauthenticated(data: unknown): void {
    this.count += 1;
    if (this.count > this.bounds.limits.unauthenticatedPackets) {
      this.refuse(flooded());
    } else if (typeof data !== 'string') {
      this.refuse(malformed('a connection begins with a CONNECT packet'));
    } else {
      const error = judgeUnauthenticated(data, this.bounds.limits);
      if (error) this.refuse(error, foreignNamespace(data));
      else super.add(data);
    }
  }

  private addOfUser(data: unknown, intake: Intake): void {
    const isText = typeof data === 'string';
    if (!intake.take(isText ? data.length : (data as Uint8Array).length)) {
      this.refuse(flooded());
    } else if (!isText) {
      if (this.count === 0) this.refuse(malformed('it is binary, and no packet announced it'));
      else this.count -= 1;
    } else if (this.count > 0) {
      this.refuse(malformed('attachments of the packet before it are missing'));
    } else {
      const error = judgeOfUser(data, this.bounds.limits);
      if (error) this.refuse(error);
      else if (data[0] === String(PacketType.BINARY_EVENT) || data[0] === String(PacketType.BINARY_ACK)) {
        this.addWithoutAttachments(data);
      } else super.add(data);
    }
  }

  /** The packet is answered as one without a payload; its announced attachments are dropped as they come. */
  private addWithoutAttachments(data: string): void {
    const packet = (this as unknown as { decodeString(text: string): Packet }).decodeString(data);
    this.count = packet.attachments ?? 0;
    if (packet.type !== PacketType.BINARY_EVENT) return;
    const [name] = packet.data as unknown[];
    this.emitReserved('decoded', { ...packet, type: PacketType.EVENT, data: [name] });
  }

  protected refuse(error: GroupcastError, namespace?: string): void {
    this.state = 'refused';
    if (this.intake) this.intake.refuse(error);
    else if (this.conn) this.bounds.onRefused(this.conn, error, namespace);
  }
}

/**
 * Makes the parser for Socket.IO's server, and ties each of its decoders to a connection: Socket.IO makes a decoder without saying for
 * which one, in the turn in which its engine announces the connection.
 */
export function createPacketParser(decoderFor: (conn: EngineSocket | undefined) => BoundedDecoder): {
  parser: object;
  watch: (engine: EventEmitter) => void;
} {
  let opening: EngineSocket | undefined;
  // Socket.IO calls it with `new`, and gets what it returns.
  function ConnectionDecoder(): BoundedDecoder {
    return decoderFor(opening);
  }
  return {
    parser: { Encoder, Decoder: ConnectionDecoder },
    watch(engine) {
      engine.prependListener('connection', (conn: EngineSocket) => {
        opening = conn;
      });
    },
  };
}

/** Returns the decoder behind a socket. Its field has no public name: if it goes away, every test of the bounds fails. */
export function decoderOf(socket: object): BoundedDecoder {
  return (socket as { client: { decoder: BoundedDecoder } }).client.decoder;
}
