import type { ErrorBody } from './errors.ts';
import type { JsonObject } from './json.ts';
import type {
  Answer,
  BatchResult,
  BroadcastInput,
  BroadcastResult,
  DisconnectInput,
  MembersInput,
  NotifyInput,
} from './payloads/broadcast.ts';
import type {
  GetPresenceInput,
  JoinGroupInput,
  LeaveGroupInput,
  MarkInput,
  RefreshTokenInput,
  ResumeInput,
  UpdateCursorsInput,
  WatchGroupInput,
} from './payloads/client-events.ts';
import type { GroupEvent } from './payloads/messaging.ts';
import type { Position } from './positions.ts';

type Ack<T> = (answer: Answer<T>) => void;

/** What a member gets of the events after the position it asked from. Never a part of them without `more`. */
export interface RecoveryResult {
  /** `events` is everything between the position asked from and `position`. False: read the API's `/events`. */
  recovered: boolean;
  /** Once `more` is false, the first live event is `position.seq + 1`; `null` while the relay does not know the group. */
  position: Position | null;
  events: GroupEvent[];
  /** Ask again from `position`; the group is live only after an answer with `more: false`. */
  more: boolean;
}

export interface JoinGroupResult extends RecoveryResult {
  groupId: string;
}

/** Answers by group; a group that could not be joined has its error instead. */
export interface ResumeResult {
  groups: Record<string, RecoveryResult | { error: ErrorBody }>;
}

/** Where a group stands; `skipId` names the one event before it that was not for this connection. */
export interface GroupHead {
  groupId: string;
  epoch: string;
  seq: number;
  skipId?: string;
}

/** Who has connections in a group, on all relays. */
export interface PresenceResult {
  users: { userId: string; connections: number }[];
  numUsers: number;
  numConnections: number;
}

export interface GroupPosition {
  groupId: string;
  position: Position | null;
}

export type SessionNext = 'refresh-token' | 'reconnect' | 'stop';

/** Sent before the relay closes a connection on purpose: why, and what to do next and when. */
export interface SessionEnding {
  code: string;
  message: string;
  next: SessionNext;
  retryAfterMs: number;
}

/** Whether the relay delivers. While it does not, ask the API for news; what was missed comes before `live` is true again. */
export interface ServiceState {
  live: boolean;
}

export type LeftReason = 'member-removed' | 'token-refreshed' | 'group-limit';

/** Browser → relay. */
export interface ClientEvents {
  'join-group': (input: JoinGroupInput, ack?: Ack<JoinGroupResult>) => void;
  'leave-group': (input: LeaveGroupInput, ack?: Ack<{ groupId: string }>) => void;
  resume: (input: ResumeInput, ack?: Ack<ResumeResult>) => void;
  'get-presence': (input: GetPresenceInput, ack?: Ack<PresenceResult>) => void;
  'watch-group': (input: WatchGroupInput, ack?: Ack<{ groupId: string }>) => void;
  'update-cursors': (input: UpdateCursorsInput, ack?: Ack<object>) => void;
  'mark-delivered': (input: MarkInput, ack?: Ack<object>) => void;
  'mark-read': (input: MarkInput, ack?: Ack<object>) => void;
  'refresh-token': (
    input: RefreshTokenInput,
    ack?: Ack<{ expiresAt: number; groups: string[]; undecided?: string[] }>,
  ) => void;
}

/** Back end → relay, on a connection of `type: "api"`. */
export interface ServiceEvents {
  'api-broadcast-message': (input: BroadcastInput, ack?: Ack<BroadcastResult>) => void;
  'api-broadcast-batch': (input: { items: BroadcastInput[] }, ack?: Ack<BatchResult>) => void;
  'api-notify-users': (input: NotifyInput, ack?: Ack<{ recipients: number }>) => void;
  'api-add-members': (input: MembersInput, ack?: Ack<object>) => void;
  'api-remove-members': (input: MembersInput, ack?: Ack<object>) => void;
  'api-get-presence': (input: GetPresenceInput, ack?: Ack<PresenceResult & { groupId: string }>) => void;
  'api-disconnect-users': (input: DisconnectInput, ack?: Ack<{ connections: number }>) => void;
  'refresh-token': ClientEvents['refresh-token'];
}

/** What a monitor sees, as one tagged union; `at` is milliseconds since the Unix epoch. */
export type MonitorEvent = { at: number; node: string } & (
  | { kind: 'connected'; socketId: string; userId: string; transport: string; groups: string[] }
  | { kind: 'disconnected'; socketId: string; userId: string; reason: string }
  | { kind: 'refused'; code: string; message: string }
  | { kind: 'joined'; socketId: string; userId: string; groupId: string }
  | { kind: 'left'; socketId: string; userId: string; groupId: string; reason: string }
  | {
      kind: 'broadcast';
      groupId: string;
      id: string;
      event: string;
      position: Position | null;
      connections: number;
      duplicate: boolean;
    }
  | { kind: 'warning'; code: string; message: string; groupId?: string; socketId?: string; userId?: string }
);

export interface MonitorSnapshot {
  node: string;
  at: number;
  connections: { socketId: string; userId: string; transport: string; groups: string[] }[];
}

/** Relay → browser. Events of groups come under the publisher's own names, so the map is open. */
export interface RelayEvents {
  /** `undecided`: groups of its token that nobody could be asked about yet; empty once all are decided. Absent where there were none. */
  'joined-groups': (payload: { groups: GroupPosition[]; undecided?: string[] }) => void;
  resumed: (payload: ResumeResult) => void;
  'group-head': (payload: GroupHead) => void;
  'left-groups': (payload: { groups: string[]; reason: LeftReason }) => void;
  presence: (payload: { groupId: string; online: string[]; offline: string[] }) => void;
  'session-ending': (payload: SessionEnding) => void;
  'service-state': (payload: ServiceState) => void;
  'monitor-snapshot': (payload: MonitorSnapshot) => void;
  'monitor-event': (payload: MonitorEvent) => void;
  [groupEvent: string]: (payload: never) => void;
}

const EVENT_PATTERN = /^[A-Za-z0-9_:.-]{1,64}$/;
/** Socket.IO's and Node's own, the relay's own (nobody may forge them), and what clients send. */
const RESERVED_EVENTS: ReadonlySet<string> = new Set(
  `connect connect_error disconnect disconnecting newListener removeListener error __proto__
   joined-groups resumed left-groups receipt presence typing notification group-head session-ending service-state
   signal monitor-snapshot monitor-event
   join-group leave-group resume refresh-token send-message update-cursors mark-delivered mark-read get-presence
   view-group watch-group`.split(/\s+/),
);

/** Event names a publisher may choose. */
export function isPublishableEvent(name: string): boolean {
  return EVENT_PATTERN.test(name) && !name.startsWith('api-') && !RESERVED_EVENTS.has(name);
}

/** The flat payload of a group's event on the socket: the publisher's fields under the envelope. */
export function toWire(
  groupId: string,
  id: string,
  position: Position | null,
  message: JsonObject,
): JsonObject & { id: string; groupId: string } {
  // `event` is part of the envelope: on the socket it is the event's name, and no field.
  const { event: _, ...fields } = message;
  return { ...fields, id, groupId, epoch: position?.epoch ?? null, seq: position?.seq ?? null };
}
