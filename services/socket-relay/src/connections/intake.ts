import type { EventEmitter } from 'node:events';
import type { Logger } from '@groupcast/service-kit';
import { GroupcastError } from '@groupcast/shared';
import type { Socket as EngineSocket } from 'engine.io';
import {
  createPacketParser,
  decoderOf,
  type Intake,
  type PacketLimits,
  unauthenticatedTooLarge,
} from '../engine/packet-decoder.ts';
import { allowBody, allowPackets, useBoundedPolling } from '../engine/polling-transport.ts';
import { allowBytes, settleTransport } from '../engine/web-socket-transport.ts';
import { closeUnread } from '../engine/wire.ts';
import type { RelayMetrics } from '../metrics.ts';
import type { Notices } from '../monitor/notices.ts';
import { TokenBucket } from '../sessions/rate-limit.ts';
import { isUserSocket, type RelayServer, type RelaySocket, type UserSocket } from '../sessions/session.ts';
import type { UserBudget, UserBudgets } from '../sessions/user-budgets.ts';
import { closeForNow } from './come-back-later.ts';
import { createUnauthenticated, type Unauthenticated } from './unauthenticated.ts';

/** Packets of one connection, refused ones included: twice what is answered, and ten seconds' worth at once. */
const PACKET_FACTOR = 2;
const PACKET_BURST_SECONDS = 10;
/** A client that was cut for flooding comes back when it has perhaps stopped, in milliseconds. */
const RETRY_MIN_MS = 5_000;
const RETRY_SPREAD_MS = 5_000;

/** A client may try another token on the connection it has, and may send a packet or two that mean nothing. */
const UNAUTHENTICATED_PACKETS = 8;
/** Room for a token. */
const TOKEN_LENGTH = 100_000;
/** What a position of a returning client takes, with an id of 64 characters, and how many commas, colons and braces it has. */
const LENGTH_PER_POSITION = 128;
const ITEMS_PER_POSITION = 6;
/** The application's own fields in `auth`. */
const OTHER_ITEMS = 1_000;
const USER_ITEMS = 65_536;

const UNAUTHENTICATED = {
  deadlineMs: 5_000,
  checkingMs: 15_000,
  pollingSessions: 4_096,
  pendingBytes: 2 * 1024 * 1024,
};

/**
 * What comes in, before anything else of the relay sees it: bounded in items while nobody knows whose it is, and by what the user may
 * cost afterwards. Who is refused is told why, in the log and in the monitor as well.
 */
export interface ConnectionIntake {
  /** For Socket.IO's server. */
  parser: object;
  attach(io: RelayServer): void;
  /** The connection's token is being checked; or was refused, and another one may come. */
  checking(socket: RelaySocket): void;
  refused(socket: RelaySocket): void;
  /** The connection has authenticated. */
  admit(socket: RelaySocket): void;
  /** Whether a session of the engine is one of those of which nothing is known yet. */
  isUnauthenticated(sid: string): boolean;
  stop(): void;
}

export function createConnectionIntake(
  deps: { budgets: UserBudgets; metrics: RelayMetrics; notices: Notices; log: Logger },
  options: { maxGroups: number; eventsPerSecond: number },
): ConnectionIntake {
  const { budgets, metrics, notices, log } = deps;
  const { maxGroups, eventsPerSecond } = options;
  const packetBurst = PACKET_FACTOR * eventsPerSecond * PACKET_BURST_SECONDS;
  /** Engine.IO's own book of its sessions, which has no public type; without a prototype. */
  let clients: Readonly<Record<string, EngineSocket>> | undefined;
  let unauthenticated: Unauthenticated | undefined;

  const limits: PacketLimits = {
    unauthenticatedPackets: UNAUTHENTICATED_PACKETS,
    unauthenticatedLength: TOKEN_LENGTH + maxGroups * LENGTH_PER_POSITION,
    unauthenticatedItems: OTHER_ITEMS + maxGroups * ITEMS_PER_POSITION,
    userItems: Math.max(USER_ITEMS, OTHER_ITEMS + maxGroups * ITEMS_PER_POSITION),
  };

  function report(error: GroupcastError, where: { address: string } | { socketId: string; userId: string }): void {
    const { code, message } = error;
    metrics.refused.inc({ code });
    notices({ topic: `packets ${code}`, name: message, code, message: `connection refused: ${message}`, ...where });
  }

  /** What comes first on a plain WebSocket is no packet. Afterwards it is the client's own fault. */
  function onEarlyClose(this: EngineSocket, reason: string): void {
    if (reason !== 'parse error') return;
    const why = 'unable to read the packet; a connection begins with a CONNECT packet, use a Socket.IO client';
    report(new GroupcastError('INVALID_PAYLOAD', why), { address: this.remoteAddress });
  }

  /** Nobody is connected on it: what Socket.IO says to a client whose CONNECT it refuses for good, which every client reads. */
  function refuse(conn: EngineSocket, error: GroupcastError, namespace: string | undefined): void {
    const body = error.toBody();
    const nsp = namespace === undefined ? '' : `${namespace},`;
    if (error.retryable) closeForNow(conn, body);
    else conn.write(`4${nsp}${JSON.stringify({ message: body.message, data: body })}`);
    report(error, { address: conn.remoteAddress });
    closeUnread(conn);
  }

  class UserIntake implements Intake {
    private readonly socket: UserSocket;
    private budget: UserBudget | undefined;
    private packets: TokenBucket | undefined;

    constructor(socket: UserSocket) {
      this.socket = socket;
    }

    take(length: number): boolean {
      this.budget ??= budgets.of(this.socket.data.session.userId);
      this.packets ??= new TokenBucket(PACKET_FACTOR * eventsPerSecond, packetBurst);
      // Both are asked, so that a connection that is cut has counted for its user.
      const ofUser = this.budget.takePacket(length);
      return this.packets.take(1) && ofUser;
    }

    refuse(error: GroupcastError): void {
      const { socket } = this;
      const retryAfterMs = RETRY_MIN_MS + Math.floor(Math.random() * RETRY_SPREAD_MS);
      socket.emit('session-ending', { code: error.code, message: error.message, next: 'reconnect', retryAfterMs });
      report(error, { socketId: socket.id, userId: socket.data.session.userId });
      closeUnread(socket.conn);
    }
  }

  const { parser, watch } = createPacketParser({ limits, onRefused: refuse });
  useBoundedPolling();

  return {
    parser,
    attach(io) {
      const engine = io.engine as EventEmitter;
      clients = (io.engine as unknown as { clients: Record<string, EngineSocket> }).clients;
      watch(engine);
      engine.on('connection', (conn: EngineSocket) => {
        conn.on('close', onEarlyClose);
        const onTooLarge = (): void => refuse(conn, unauthenticatedTooLarge(limits), undefined);
        allowBytes(conn, limits.unauthenticatedLength, onTooLarge);
        allowBody(conn, { bytes: limits.unauthenticatedLength, onTooLarge });
      });
      unauthenticated = createUnauthenticated({ engine, metrics, log }, UNAUTHENTICATED);
    },
    checking: ({ conn }) => unauthenticated?.checking(conn),
    refused: ({ conn }) => unauthenticated?.refused(conn),
    admit(socket) {
      const { conn } = socket;
      const isUser = isUserSocket(socket);
      unauthenticated?.forget(conn);
      conn.off('close', onEarlyClose);
      settleTransport(conn, !isUser);
      decoderOf(socket).admit(isUser ? new UserIntake(socket) : undefined);
      allowPackets(conn, isUser ? packetBurst : Number.POSITIVE_INFINITY);
    },
    isUnauthenticated(sid) {
      const conn = clients?.[sid];
      return conn !== undefined && unauthenticated?.has(conn) === true;
    },
    stop() {
      unauthenticated?.stop();
    },
  };
}
