import type {
  Answer,
  BatchResult,
  BroadcastInput,
  BroadcastResult,
  DisconnectInput,
  HistoryInput,
  HistoryResult,
  MembersInput,
  NotifyInput,
  RemoveMembersInput,
  StoredCursorsInput,
} from './payloads/broadcast.ts';
import type {
  DeleteMessageInput,
  EditMessageInput,
  GetPresenceInput,
  GetPresencesInput,
  JoinGroupInput,
  LeaveGroupInput,
  MarkInput,
  RefreshTokenInput,
  ResumeInput,
  SendMessageInput,
  SignalInput,
  TypingInput,
  UpdateCursorsInput,
  ViewGroupInput,
  WatchGroupInput,
} from './payloads/client-events.ts';
import type { MessageStatus, Notification, ReadCursor, Receipt, Signal, Typing } from './payloads/conversation.ts';
import type { Message } from './payloads/messaging.ts';
import type { MonitorEvent, MonitorSnapshot } from './payloads/monitor.ts';
import type { PresenceResult, PresencesResult } from './payloads/presence.ts';
import type { GroupHead, GroupPosition, JoinGroupResult, ResumeResult } from './payloads/recovery.ts';
import type { LeftReason, ServiceState, SessionEnding } from './payloads/session.ts';
import type { AwaitDeliveryInput, Delivery, RelayTrace, TraceQueryInput } from './payloads/trace.ts';

type Ack<T> = (answer: Answer<T>) => void;

/** Events from browsers to the relay. */
export interface ClientEvents {
  'join-group': (input: JoinGroupInput, ack?: Ack<JoinGroupResult>) => void;
  'leave-group': (input: LeaveGroupInput, ack?: Ack<{ groupId: string }>) => void;
  resume: (input: ResumeInput, ack?: Ack<ResumeResult>) => void;
  'get-presence': (input: GetPresenceInput | GetPresencesInput, ack?: Ack<PresenceResult | PresencesResult>) => void;
  'watch-group': (input: WatchGroupInput, ack?: Ack<{ groupId: string }>) => void;
  'update-cursors': (input: UpdateCursorsInput, ack?: Ack<object>) => void;
  /** `seq`: of the message, where it was named by its id. */
  'mark-delivered': (input: MarkInput, ack?: Ack<{ seq?: number }>) => void;
  'mark-read': (input: MarkInput, ack?: Ack<{ seq?: number }>) => void;
  'send-message': (input: SendMessageInput, ack?: Ack<{ message: Message }>) => void;
  'edit-message': (input: EditMessageInput, ack?: Ack<{ message: Message }>) => void;
  'delete-message': (input: DeleteMessageInput, ack?: Ack<object>) => void;
  typing: (input: TypingInput, ack?: Ack<object>) => void;
  'view-group': (input: ViewGroupInput, ack?: Ack<object>) => void;
  signal: (input: SignalInput, ack?: Ack<{ delivered: number }>) => void;
  'refresh-token': (
    input: RefreshTokenInput,
    ack?: Ack<{ expiresAt: number; groups: string[]; undecided?: string[] }>,
  ) => void;
}

/** Events from back ends to the relay, on a connection of `type: "api"`. */
export interface ServiceEvents {
  'api-broadcast-message': (input: BroadcastInput, ack?: Ack<BroadcastResult>) => void;
  'api-broadcast-batch': (input: { items: BroadcastInput[] }, ack?: Ack<BatchResult>) => void;
  'api-notify-users': (input: NotifyInput, ack?: Ack<{ recipients: number }>) => void;
  'api-add-members': (input: MembersInput, ack?: Ack<object>) => void;
  'api-remove-members': (input: RemoveMembersInput, ack?: Ack<object>) => void;
  'api-update-cursors': (input: StoredCursorsInput, ack?: Ack<object>) => void;
  'api-get-history': (input: HistoryInput, ack?: Ack<HistoryResult>) => void;
  'api-get-presence': (input: GetPresenceInput, ack?: Ack<PresenceResult & { groupId: string }>) => void;
  'api-get-trace': (input: TraceQueryInput, ack?: Ack<RelayTrace>) => void;
  'api-await-delivery': (input: AwaitDeliveryInput, ack?: Ack<{ delivery: Delivery }>) => void;
  'api-disconnect-users': (input: DisconnectInput, ack?: Ack<{ connections: number }>) => void;
  'refresh-token': ClientEvents['refresh-token'];
}

/** Events from the relay to browsers. Events of groups come under the publisher's own names, so the map is open. */
export interface RelayEvents {
  /** `undecided`: groups of its token that the API could not be asked about yet; empty once all are decided, absent if there were none. */
  'joined-groups': (payload: { groups: GroupPosition[]; undecided?: string[] }) => void;
  resumed: (payload: ResumeResult) => void;
  'group-head': (payload: GroupHead) => void;
  'left-groups': (payload: { groups: string[]; reason: LeftReason }) => void;
  presence: (payload: { groupId: string; online: string[]; offline: string[] }) => void;
  typing: (payload: Typing) => void;
  receipt: (payload: Receipt) => void;
  'message-status': (payload: MessageStatus) => void;
  'read-cursor': (payload: ReadCursor) => void;
  notification: (payload: Notification) => void;
  signal: (payload: Signal) => void;
  'session-ending': (payload: SessionEnding) => void;
  'service-state': (payload: ServiceState) => void;
  'monitor-snapshot': (payload: MonitorSnapshot) => void;
  'monitor-event': (payload: MonitorEvent) => void;
  [groupEvent: string]: (payload: never) => void;
}
