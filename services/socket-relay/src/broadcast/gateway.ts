import { type Logger, warnOnceEvery } from '@groupcast/service-kit';
import {
  type Answer,
  type BatchResult,
  BROADCAST_LIMITS,
  type BroadcastCommand,
  type BroadcastResult,
  type BroadcastWarning,
  GroupcastError,
  type Position,
  parseBroadcast,
  parseId,
  type RelayCommand,
  toErrorBody,
  toWire,
  userRoom,
} from '@groupcast/shared';
import type { ConnectionIndex } from '../connections/connection-index.ts';
import type { GroupEntry } from '../connections/group-entry.ts';
import type { Removals } from '../connections/removals.ts';
import { endSession } from '../connections/session-ending.ts';
import type { SessionExpiry } from '../connections/session-expiry.ts';
import type { FanOut } from '../fan-out/fan-out.ts';
import type { AppendOutcome, GroupLog } from '../group-log/group-log.ts';
import type { RelayMetrics } from '../metrics.ts';
import type { MonitorFeed } from '../monitor/monitor-feed.ts';
import type { RelayServer } from '../relay-server.ts';

/** Carries out what a trusted back end asks, whichever door it came through. */
export interface Gateway {
  /** Resolves with the answer's fields beside `ok: true`; throws a `GroupcastError` otherwise. */
  execute(command: RelayCommand): Promise<object>;
}

export interface GatewayDeps {
  io: RelayServer;
  groupLog: GroupLog;
  fanOut: FanOut;
  connections: ConnectionIndex;
  entry: GroupEntry;
  removals: Removals;
  expiry: SessionExpiry;
  monitor: MonitorFeed;
  metrics: RelayMetrics;
  log: Logger;
  maxPayloadBytes: number;
  /** The level of the line every broadcast leaves. */
  broadcastLogLevel: 'info' | 'debug';
}

/** Whoever was asked to refresh a revoked token, and does not, is closed after this. */
const REFRESH_GRACE_SECONDS = 30;

export function createGateway(deps: GatewayDeps): Gateway {
  const { io, groupLog, fanOut, connections, entry, removals, expiry, monitor, metrics, log } = deps;
  const warn = warnOnceEvery(60_000);

  /** The id under which the event is deduplicated: given, the message's own, or a new one. */
  function chooseId({ id, event, message }: BroadcastCommand): string {
    if (id !== undefined) return id;
    if (event !== 'new-message' || message['id'] === undefined) return crypto.randomUUID();
    const own = parseId(message['id']);
    if (own === undefined)
      throw new GroupcastError('INVALID_PAYLOAD', 'unable to broadcast; message.id is not a valid id');
    return own;
  }

  function assertSize({ message, groupId }: BroadcastCommand): void {
    const bytes = Buffer.byteLength(JSON.stringify(message));
    if (bytes <= deps.maxPayloadBytes) return;
    throw new GroupcastError(
      'PAYLOAD_TOO_LARGE',
      `unable to broadcast to group "${groupId}"; the message has ${bytes} bytes, at most ${deps.maxPayloadBytes} are allowed`,
      { details: { bytes, maxBytes: deps.maxPayloadBytes } },
    );
  }

  function refuse(outcome: Extract<AppendOutcome, { head: unknown }>, groupId: string): GroupcastError {
    const { head } = outcome;
    const stands = `the log of the group stands at ${head.epoch} ${head.seq}`;
    return outcome.outcome === 'gap'
      ? new GroupcastError(
          'POSITION_GAP',
          `unable to broadcast to group "${groupId}"; events before it are missing, ${stands}`,
          {
            details: { head },
          },
        )
      : new GroupcastError('CONFLICT', `unable to broadcast to group "${groupId}"; its position is taken, ${stands}`, {
          details: { head },
        });
  }

  function report(command: BroadcastCommand, result: BroadcastResult): void {
    const { groupId, event } = command;
    const { id, position, duplicate, recipients } = result;
    monitor.publish({
      kind: 'broadcast',
      groupId,
      id,
      event,
      position,
      connections: recipients.connections,
      duplicate,
    });
    if (duplicate) {
      log.debug({ groupId, id, event }, 'broadcast was a duplicate');
      return;
    }
    metrics.deliveries.inc(recipients.connections);
    log[deps.broadcastLogLevel](
      { groupId, id, event, seq: position?.seq },
      `${event} in group ${groupId}: broadcast to ${recipients.connections} connections`,
    );
    if (!result.warnings.includes('NO_RECIPIENTS')) return;
    metrics.withoutRecipients.inc();
    warn(groupId, (suppressed) => {
      log.warn(
        { code: 'NO_RECIPIENTS', groupId, id, suppressed },
        `broadcast to 0 connections; nobody has joined group ${groupId}`,
      );
      monitor.publish({ kind: 'warning', code: 'NO_RECIPIENTS', message: 'nobody has joined the group', groupId });
    });
  }

  async function broadcast(command: BroadcastCommand): Promise<BroadcastResult> {
    const { groupId, event, message, position, exceptSocketId, exceptUserId } = command;
    const id = chooseId(command);
    assertSize(command);
    const outcome = await groupLog.append({
      groupId,
      id,
      event,
      message,
      ...(position ? { position } : {}),
      ...(exceptUserId === undefined ? {} : { exceptUserId }),
    });
    metrics.broadcasts.inc({ outcome: outcome.outcome });
    if (outcome.outcome === 'conflict' || outcome.outcome === 'gap') throw refuse(outcome, groupId);

    const duplicate = outcome.outcome === 'duplicate';
    const place = outcome.outcome === 'unpositioned' ? null : outcome.position;
    const warnings: BroadcastWarning[] = outcome.outcome === 'unpositioned' ? ['UNPOSITIONED'] : [];
    const count = duplicate
      ? fanOut.memberCount(groupId)
      : fanOut.deliver(
          groupId,
          { event, id, payload: toWire(groupId, id, place, message), position: place },
          { exceptSocketId, exceptUserId },
        );
    const nodes = fanOut.memberCount(groupId) > 0 ? 1 : 0;
    if (count === 0 && nodes === 0 && !duplicate) warnings.push('NO_RECIPIENTS');
    const result: BroadcastResult = {
      id,
      groupId,
      position: place,
      duplicate,
      ...(outcome.outcome === 'duplicate' ? { head: outcome.head } : {}),
      recipients: { connections: count, nodes },
      warnings,
    };
    report(command, result);
    return result;
  }

  function sizeOf(items: readonly unknown[]): number {
    try {
      return Buffer.byteLength(JSON.stringify(items));
    } catch (error) {
      throw new GroupcastError('INVALID_PAYLOAD', 'unable to broadcast; the batch is nested too deeply', {
        cause: error,
      });
    }
  }

  /** In order. A bad item fails alone; after a retryable failure its group's later items wait for the next try too. */
  async function batch(items: readonly unknown[]): Promise<BatchResult> {
    if (sizeOf(items) > BROADCAST_LIMITS.batchBytes) {
      throw new GroupcastError(
        'PAYLOAD_TOO_LARGE',
        `unable to broadcast; a batch may have ${BROADCAST_LIMITS.batchBytes} bytes`,
      );
    }
    const blocked = new Map<string, GroupcastError>();
    const results: Answer<BroadcastResult>[] = [];
    for (const item of items) {
      let groupId: string | undefined;
      try {
        const command = parseBroadcast(item);
        groupId = command.groupId;
        const earlier = blocked.get(groupId);
        if (earlier)
          throw new GroupcastError(earlier.code, 'unable to broadcast; an earlier item of the group failed', {
            cause: earlier,
          });
        results.push({ ok: true, ...(await broadcast(command)) });
      } catch (error) {
        const body = toErrorBody(error);
        if (!(error instanceof GroupcastError)) log.error({ err: error, groupId }, 'broadcast failed');
        // After a conflict the publisher opens another epoch, and sends the later ones again in it.
        const stops = body.retryable || body.code === 'CONFLICT';
        if (stops && groupId !== undefined) {
          blocked.set(groupId, error instanceof GroupcastError ? error : new GroupcastError('INTERNAL', body.message));
        }
        metrics.eventsRefused.inc({ code: body.code });
        results.push({ ok: false, error: body });
      }
    }
    return { results };
  }

  function notify(userIds: readonly string[], event: string, data: object): number {
    const rooms = [...new Set(userIds)].map(userRoom);
    if (rooms.length === 0) return 0;
    const recipients = userIds.length === 0 ? 0 : new Set(userIds.flatMap((id) => connections.ofUser(id))).size;
    io.to(rooms).emit(event, data as never);
    return recipients;
  }

  async function addMembers(groupId: string, userIds: readonly string[], position?: Position): Promise<void> {
    const sockets = removals
      .record('added', groupId, userIds, position)
      .flatMap((userId) => connections.ofUser(userId));
    await Promise.all(
      sockets.map(async (socket) => {
        try {
          if (entry.admit(socket, [groupId], 'api').length > 0) await entry.announce(socket, [groupId]);
        } catch (error) {
          // One connection that is full does not keep the others out.
          log.warn({ err: error, groupId, socketId: socket.id }, 'unable to add a connection to a group');
        }
      }),
    );
  }

  return {
    async execute(command) {
      switch (command.kind) {
        case 'broadcast':
          return broadcast(command);
        case 'batch':
          return batch(command.items);
        case 'notify':
          return { recipients: notify(command.userIds, command.event, command.data) };
        case 'add-members':
          await addMembers(command.groupId, command.userIds, command.position);
          return {};
        case 'remove-members': {
          const removed = removals.record('removed', command.groupId, command.userIds, command.position);
          for (const socket of removed.flatMap((userId) => connections.ofUser(userId))) {
            entry.expel(socket, [command.groupId], 'member-removed');
          }
          return {};
        }
        case 'disconnect-users': {
          const { userIds, code, next, revokeBefore } = command;
          if (revokeBefore !== undefined) for (const userId of userIds) removals.revoke(userId, revokeBefore);
          const sockets = [...new Set(userIds)].flatMap((userId) => connections.ofUser(userId));
          const message = command.message ?? 'the connection was ended by the server';
          for (const socket of sockets) {
            if (next !== 'refresh-token') {
              endSession(socket, { code, message, next, retryAfterMs: 0 });
              continue;
            }
            socket.emit('session-ending', { code, message, next, retryAfterMs: 0 });
            const { userId, claims } = socket.data.session;
            if (removals.isRevoked(userId, claims.issuedAt)) expiry.endWithin(socket, REFRESH_GRACE_SECONDS);
          }
          return { connections: sockets.length };
        }
        default: {
          const unreachable: never = command;
          return unreachable;
        }
      }
    },
  };
}
