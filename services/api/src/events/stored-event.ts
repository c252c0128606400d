import type { JsonObject, Message } from '@groupcast/shared';
import { type SenderRow, toSender } from './sender.ts';

/** How an event changes which live connections are in the group. */
export interface MembershipEffect {
  add?: string[];
  remove?: string[];
  /** Removes everybody; `remove` names them for a relay of an earlier version, which does not know this. */
  everyone?: true;
}

export interface NewEvent {
  id: string;
  type: string;
  payload: JsonObject;
  effect?: MembershipEffect;
}

/** One event as it is stored. */
export interface StoredEvent extends NewEvent {
  seq: number;
  /** The span in which it was saved, where that is traced. */
  traceparent?: string | undefined;
}

/** The fields of a message beside its position, with its sender's profile, as far as there is one. */
export interface MessageFields extends Partial<SenderRow> {
  senderId: string;
  kind?: string | undefined;
  content: string;
  createdAt: Date;
  clientMessageId?: string | undefined;
  attachments?: JsonObject[] | undefined;
  custom?: JsonObject | undefined;
  updatedAt?: Date | undefined;
}

/** The fields of `new-message` beside its envelope, which the relay adds. */
export type MessagePayload = Omit<Message, 'id' | 'groupId' | 'epoch' | 'seq'>;

/** The kind of a message whose sender has not given it one: nothing is stored for it. */
const DEFAULT_KIND = 'text';

export function messagePayload(message: MessageFields): MessagePayload {
  const { senderId, content, createdAt, clientMessageId, attachments, custom, updatedAt } = message;
  return {
    senderId,
    sender: toSender(senderId, message),
    kind: message.kind ?? DEFAULT_KIND,
    content,
    createdAt: createdAt.toISOString(),
    ...(clientMessageId === undefined ? {} : { clientMessageId }),
    ...(attachments === undefined ? {} : { attachments }),
    ...(custom === undefined ? {} : { custom }),
    ...(updatedAt === undefined ? {} : { updatedAt: updatedAt.toISOString() }),
  };
}

/** A row of `historyRows`: of a message, which has no `type`, or of another event. */
export interface HistoryRow extends SenderRow, Record<string, unknown> {
  seq: number;
  id: string;
  type: string | null;
  payload: JsonObject | null;
  effect: MembershipEffect | null;
  sender_id: string | null;
  client_message_id: string | null;
  content: string | null;
  attachments: JsonObject[] | null;
  kind: string | null;
  custom: JsonObject | null;
  created_at: Date;
  updated_at: Date | null;
  deleted_at: Date | null;
  omitted: { id: string; code: string } | null;
}

/** A deleted message leaves its position, and not its content; of one that the relay has refused for good, only the reason is history. */
export function toStoredEvent(row: HistoryRow): StoredEvent {
  const { seq, id, type, payload, effect, omitted } = row;
  if (type !== null) return { seq, id, type, payload: payload ?? {}, ...(effect ? { effect } : {}) };
  if (omitted) return { seq, id: omitted.id, type: 'event-omitted', payload: { code: omitted.code } };
  const message = messagePayload({
    ...row,
    senderId: row.sender_id ?? '',
    kind: row.kind ?? undefined,
    custom: row.custom ?? undefined,
    content: row.content ?? '',
    createdAt: row.created_at,
    clientMessageId: row.client_message_id ?? undefined,
    attachments: row.attachments ?? undefined,
    updatedAt: row.updated_at ?? undefined,
  });
  return { seq, id, type: 'new-message', payload: row.deleted_at ? { ...message, deleted: true } : message };
}
