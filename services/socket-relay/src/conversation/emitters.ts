import { type Logger, warnOnceEvery } from '@groupcast/service-kit';
import {
  groupRoom,
  isPublishableEvent,
  type JsonObject,
  parseId,
  parseUserId,
  toWire,
  userRoom,
} from '@groupcast/shared';
import type { RelayMetrics } from '../metrics/relay-metrics.ts';
import type { MonitorFeed } from '../monitor/monitor-feed.ts';
import type { PatternChannels } from '../redis/pattern-channels.ts';
import type { RelayServer } from '../sessions/session.ts';
import { createEmitterReader, EMITTER_CHANNELS, type EmitterMessage } from '../transient/emitter-messages.ts';

/** An event for a user may have fields of any name; those of a position would be taken for one of the group that it names. */
function withoutPosition(payload: JsonObject): JsonObject {
  return 'epoch' in payload && 'seq' in payload ? { ...payload, epoch: null, seq: null } : payload;
}

/**
 * Lets programs that emit through Redis, as `@socket.io/redis-emitter` does, reach the members of a group (`group-<id>`) and the connections
 * of a user (`user-<id>`). Each relay shows them to its own connections. Such an event has no position: it is in no order with others, and
 * nobody gets it later. Off unless the operator wants it, since everybody who can write to Redis can emit then; where such events are seen
 * while it is off, the log says so once.
 */
export function listenToEmitters(deps: {
  io: RelayServer;
  channels: PatternChannels;
  isTrusted: () => boolean;
  isOn: boolean;
  maxPayloadBytes: number;
  monitor: Pick<MonitorFeed, 'publish'>;
  metrics: Pick<RelayMetrics, 'transientEvents'>;
  log: Logger;
}): () => void {
  const { io, isTrusted, monitor, metrics, log } = deps;
  const { adapter } = io.of('/');
  const read = createEmitterReader();
  const warn = warnOnceEvery(60_000);
  const [groupPrefix, userPrefix] = [groupRoom(''), userRoom('')];

  function refuse(room: string, message: string): void {
    metrics.transientEvents.inc({ event: 'emitter', way: 'refused' });
    warn(message, (suppressed) => log.warn({ code: 'INVALID_PAYLOAD', room, suppressed }, message));
  }

  function warnUnpositioned(groupId: string, event: string): void {
    warn(`group ${groupId}`, (suppressed) => {
      const message = 'an event of an emitter has no position: members who are away do not get it later';
      log.warn({ code: 'UNPOSITIONED', groupId, event, suppressed }, message);
      monitor.publish({ kind: 'warning', code: 'UNPOSITIONED', message, groupId });
    });
  }

  function show(room: string, { event, payload, except }: EmitterMessage): void {
    const groupId = room.startsWith(groupPrefix) ? parseId(room.slice(groupPrefix.length)) : undefined;
    const userId = room.startsWith(userPrefix) ? parseUserId(room.slice(userPrefix.length)) : undefined;
    if (groupId === undefined && userId === undefined) {
      refuse(room, 'an emitter may emit to "group-<id>" and "user-<id>" only');
      return;
    }
    if (!adapter.rooms.has(room)) return;
    metrics.transientEvents.inc({ event: 'emitter', way: 'received' });
    const id = parseId(payload['id']) ?? crypto.randomUUID();
    const shown = groupId === undefined ? withoutPosition(payload) : toWire(groupId, id, null, payload);
    if (groupId !== undefined) warnUnpositioned(groupId, event);
    // The program chose the name; the map's types know only the relay's own events.
    io.local
      .to(room)
      .except(except)
      .emit(event, shown as never);
  }

  let stop: () => void = () => undefined;
  function receive(_channel: string, bytes: Buffer): void {
    if (bytes.length > 2 * deps.maxPayloadBytes) throw new Error('larger than MAX_PAYLOAD_BYTES allows');
    const message = read(bytes);
    if (!message) return;
    if (!deps.isOn) {
      log.warn(
        'events of @socket.io/redis-emitter come over Redis, and are shown to nobody; RELAY_EMITTER=1 shows them',
      );
      stop();
      return;
    }
    if (!isTrusted()) return;
    const room = message.rooms[0] ?? '';
    if (!isPublishableEvent(message.event)) refuse(room, 'an emitter may use no reserved name for its events');
    else if (Buffer.byteLength(JSON.stringify(message.payload)) > deps.maxPayloadBytes) {
      refuse(room, 'an event of an emitter is larger than MAX_PAYLOAD_BYTES');
    } else if (message.rooms.length === 0) refuse('', 'an emitter has to say to which rooms it emits');
    else for (const each of new Set(message.rooms)) show(each, message);
  }
  stop = deps.channels.listen(EMITTER_CHANNELS, receive);
  return () => stop();
}
