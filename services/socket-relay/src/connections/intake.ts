import type { EventEmitter } from 'node:events';
import type { Logger } from '@groupcast/service-kit';
import { GroupcastError } from '@groupcast/shared';
import type { Socket as EngineSocket } from 'engine.io';
import {
  BoundedDecoder,
  createPacketParser,
  decoderOf,
  type Intake,
  type PacketLimits,
  unauthenticatedTooLarge,
} from '../engine/packet-decoder.ts';
import { allowBody, allowPackets, attachBoundedPolling } from '../engine/polling-transport.ts';
import { RawDecoder } from '../engine/raw-decoder.ts';
import { isRaw } from '../engine/raw-frames.ts';
import { allowBytes, settleTransport } from '../engine/web-socket-transport.ts';
import { closeUnread } from '../engine/wire.ts';
import type { RelayMetrics } from '../metrics/relay-metrics.ts';
import type { Notices } from '../monitor/notices.ts';
import { TokenBucket } from '../sessions/rate-limit.ts';
import { isUserSocket, type RelayServer, type RelaySocket, type UserSocket } from '../sessions/session.ts';
import { tellEnding } from '../sessions/session-ending.ts';
import type { UserBudget, UserBudgets } from '../sessions/user-budgets.ts';
import { closeForNow, connectError } from './come-back-later.ts';
import { createUnauthenticated, type Unauthenticated } from './unauthenticated.ts';

/**
 * Packets of one connection, refused ones included, as a multiple of the events that are answered; and the seconds whose packets may come
 * at once.
 */
const PACKET_FACTOR = 2;
const PACKET_BURST_SECONDS = 10;
/** How long a client that was cut for flooding stays away, in milliseconds. It has perhaps stopped by then. */
const RETRY_MIN_MS = 5_000;
const RETRY_SPREAD_MS = 5_000;

/** Packets before a connection has authenticated: a client may try another token on it, and may send a packet or two that mean nothing. */
const UNAUTHENTICATED_PACKETS = 8;
/** Length of a token, in UTF-16 code units. */
const TOKEN_LENGTH = 100_000;
/** Length of a position of a returning client, with a group id of 64 characters, and its commas, colons and braces. */
const LENGTH_PER_POSITION = 128;
const ITEMS_PER_POSITION = 6;
/** Items that the application may add in `auth`. */
const OTHER_ITEMS = 1_000;
const USER_ITEMS = 65_536;

const UNAUTHENTICATED = {
  deadlineMs: 5_000,
  checkingMs: 15_000,
  pollingSessions: 4_096,
  pendingBytes: 2 * 1024 * 1024,
};

/**
 * Bounds everything that comes in, before any other part of the relay sees it: by its items while nobody knows whose it is, and by the
 * user's budget afterwards. A client that is refused is told why, and so are the log and the monitor.
 */
export interface ConnectionIntake {
  /** The parser for Socket.IO's server. */
  parser: object;
  attach(io: RelayServer): void;
  /** The connection's token is being checked; or was refused, and another one may come. */
  checking(socket: RelaySocket): void;
  refused(socket: RelaySocket): void;
  /** The connection has authenticated. */
  admit(socket: RelaySocket): void;
  /** Whether a session of the engine has not authenticated yet. */
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
  /** Engine.IO's record of its sessions, which has no public type; it has no prototype. */
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

  /** The first bytes on a plain WebSocket are no packet. Later on such bytes are the client's own fault. */
  function onEarlyClose(this: EngineSocket, reason: string): void {
    if (reason !== 'parse error') return;
    const why = 'unable to read the packet; a connection begins with a CONNECT packet, use a Socket.IO client';
    report(new GroupcastError('INVALID_PAYLOAD', why), { address: this.remoteAddress });
  }

  /** Refuses a connection on which nobody is connected yet, as Socket.IO refuses a CONNECT for good, which every client reads. */
  function refuse(conn: EngineSocket, error: GroupcastError, namespace: string | undefined): void {
    const body = error.toBody();
    if (error.retryable) closeForNow(conn, body);
    else conn.write(connectError(body, namespace));
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
      tellEnding(socket, { code: error.code, message: error.message, next: 'reconnect', retryAfterMs });
      report(error, { socketId: socket.id, userId: socket.data.session.userId });
      closeUnread(socket.conn);
    }
  }

  const bounds = { limits, onRefused: refuse };
  const { parser, watch } = createPacketParser((conn) =>
    conn && isRaw(conn) ? new RawDecoder(conn, bounds) : new BoundedDecoder(conn, bounds),
  );

  return {
    parser,
    attach(io) {
      const engine = io.engine as EventEmitter;
      clients = (io.engine as unknown as { clients: Record<string, EngineSocket> }).clients;
      watch(engine);
      attachBoundedPolling(engine);
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
