import { randomUUID } from 'node:crypto';
import { beginHop } from '@groupcast/service-kit';
import {
  GroupcastError,
  type GroupEvent,
  type JsonObject,
  type Message,
  type Position,
  parseTraceparent,
  relationOf,
} from '@groupcast/shared';
import { assertCustomFits } from '../db/custom.ts';
import { type Database, type Queryable, snapshot } from '../db/database.ts';
import { type EventWriter, lockGroup } from '../events/event-store.ts';
import { groupNotFound } from '../events/group-not-found.ts';
import { readEvents } from '../events/history-store.ts';
import { messagePayload } from '../events/stored-event.ts';
import { readGroupAs } from '../groups/group-store.ts';
import { isMember } from '../groups/member-store.ts';
import type { Dispatcher } from '../outbox/dispatcher.ts';
import { makeMessageId } from './message-id.ts';
import {
  eraseMessage,
  findMessageAt,
  findSeqOf,
  lockMessage,
  type MessageRow,
  type NewMessage,
  readPage,
  toMessage,
  updateMessage,
  type Way,
} from './message-store.ts';
import type { Saved, SaveQueue } from './save-queue.ts';

export interface MessageDeps {
  db: Database;
  dispatcher: Pick<Dispatcher, 'wake'>;
  events: EventWriter;
  saves: SaveQueue;
}

interface Author {
  groupId: string;
  userId: string;
}

/** The group is locked first, so that a removal of the user either comes before this change or after it. */
async function lockGroupAs(tx: Queryable, { groupId, userId }: Author): Promise<void> {
  if (!(await lockGroup(tx, groupId)) || !(await isMember(tx, groupId, userId))) throw groupNotFound(groupId);
}

/** The kind of messages that say something in the name of the service: no user may send one. */
const SYSTEM_KIND = 'system';

export interface NewContent {
  content: string;
  clientMessageId?: string | undefined;
  kind?: string | undefined;
  attachments?: JsonObject[] | undefined;
  custom?: JsonObject | undefined;
  way?: Way | undefined;
  /** The `traceparent` of the request, as it came. */
  traceparent?: string | undefined;
}

/** Saves the message as a step of its trace, if it has one. */
async function saveAsHop(saves: SaveQueue, message: NewMessage): Promise<{ saved: Saved; traceparent?: string }> {
  const { id, groupId } = message;
  const attributes = { 'groupcast.group.id': groupId, 'groupcast.message.id': id };
  const hop = beginHop('groupcast.save', parseTraceparent(message.traceparent), attributes);
  if (!hop) return { saved: await saves.save({ ...message, traceparent: undefined }) };
  const { traceparent } = hop;
  try {
    const saved = await saves.save({ ...message, traceparent });
    hop.end({ 'groupcast.outcome': saved.kind, ...(saved.kind === 'absent' ? {} : { 'groupcast.seq': saved.seq }) });
    return { saved, traceparent };
  } catch (error) {
    hop.end({}, error);
    throw error;
  }
}

/**
 * Resolves after commit: the message is saved and will be relayed, whichever process crashes next. A repeated
 * `clientMessageId` of the same sender in the same group resolves to the first message, and so does a copy by the other way.
 */
export async function sendMessage(deps: MessageDeps, input: Author & NewContent): Promise<Message> {
  const {
    groupId,
    userId: senderId,
    content,
    clientMessageId,
    kind,
    attachments,
    custom,
    way,
    traceparent: given,
  } = input;
  if (kind === SYSTEM_KIND)
    throw new GroupcastError(
      'FORBIDDEN',
      `unable to send a message of kind "${kind}"; users may send every other kind`,
    );
  assertCustomFits(custom);
  const fields = { senderId, content, clientMessageId, kind, attachments, custom };
  // The database says when it was saved, by a time of the same length. The sender's profile is left out where it does not fit.
  deps.events.assertRelayable(messagePayload({ ...fields, createdAt: new Date(0) }));
  const id = makeMessageId();
  const message = { id, groupId, ...fields, way, traceparent: given };
  const { saved, traceparent } = await saveAsHop(deps.saves, message);
  switch (saved.kind) {
    case 'saved': {
      const { epoch, seq, createdAt, sender } = saved;
      const payload = messagePayload({ ...fields, ...sender, createdAt });
      deps.dispatcher.wake(groupId, { seq, id, type: 'new-message', payload, traceparent });
      return { id, groupId, epoch, seq, ...payload };
    }
    case 'known': {
      const first = await findMessageAt(deps.db, groupId, saved.seq);
      // Retention may have removed it in between.
      if (!first) throw groupNotFound(groupId);
      return toMessage(first, saved.epoch);
    }
    case 'absent':
      throw groupNotFound(groupId);
    default:
      return saved satisfies never;
  }
}

async function lockOwn(tx: Queryable, author: Author, messageId: string, what: string): Promise<MessageRow> {
  const row = await lockMessage(tx, author.groupId, messageId);
  if (!row)
    throw new GroupcastError('NOT_FOUND', `unable to ${what} the message; there is none with the id "${messageId}"`);
  if (row.sender_id !== author.userId)
    throw new GroupcastError('FORBIDDEN', `unable to ${what} the message; only its sender may`);
  return row;
}

/** `content` and `custom` stay as they are where they are not given; `custom: null` takes it away. */
export async function editMessage(
  deps: MessageDeps,
  input: Author & { messageId: string; content?: string | undefined; custom?: JsonObject | null | undefined },
): Promise<Message> {
  const { groupId, messageId, userId: senderId } = input;
  assertCustomFits(input.custom);
  const message = await deps.db.transaction(async (tx) => {
    await lockGroupAs(tx, input);
    const row = await lockOwn(tx, input, messageId, 'edit');
    const { content = row.content, custom = row.custom } = input;
    const updatedAt = await updateMessage(tx, messageId, { content, custom });
    const edited = toMessage({ ...row, content, custom, updated_at: updatedAt }, '');
    // It takes the message's place in the history, which a relay without its events is sent.
    const { id: _, groupId: __, epoch: ___, seq: ____, sender: _____, ...fields } = edited;
    deps.events.assertRelayable({ ...fields, sender: { userId: senderId } });
    const payload: JsonObject = {
      messageId,
      content,
      ...(input.custom === undefined ? {} : { custom }),
      senderId,
      updatedAt: updatedAt.toISOString(),
    };
    const { epoch } = await deps.events.append(tx, groupId, { id: randomUUID(), type: 'message-updated', payload });
    return { ...edited, epoch };
  });
  deps.dispatcher.wake(groupId);
  return message;
}

/** Takes the content out of the history too; the event that says so has a position of its own. */
export async function deleteMessage(deps: MessageDeps, input: Author & { messageId: string }): Promise<void> {
  const { groupId, messageId, userId } = input;
  await deps.db.transaction(async (tx) => {
    await lockGroupAs(tx, input);
    const row = await lockOwn(tx, input, messageId, 'delete');
    await eraseMessage(tx, groupId, messageId);
    await deps.events.append(tx, groupId, {
      id: randomUUID(),
      type: 'message-deleted',
      payload: { messageId, messageSeq: row.seq, senderId: userId },
    });
  });
  deps.dispatcher.wake(groupId);
}

/** Where a message stands, for a member who has received or read it. A deleted one keeps its place. */
export async function locateMessage(
  deps: Pick<MessageDeps, 'db'>,
  { groupId, userId, messageId }: Author & { messageId: string },
): Promise<number> {
  await readGroupAs(deps.db, groupId, userId);
  const seq = await findSeqOf(deps.db, groupId, messageId);
  if (seq !== undefined) return seq;
  throw new GroupcastError('NOT_FOUND', `unable to mark the message; there is none with the id "${messageId}"`);
}

/**
 * A page and the group's position, of one snapshot: what comes after `position` is not in the page. `more`: there are further messages
 * in the direction that was asked for; a page is shorter than its limit where it has as many bytes as it may.
 */
export async function listMessages(
  deps: MessageDeps,
  input: Author & { before?: number | undefined; after?: number | undefined; limit: number },
): Promise<{ messages: Message[]; position: Position; more: boolean }> {
  return snapshot(deps.db, async (tx) => {
    const { epoch, seq } = await readGroupAs(tx, input.groupId, input.userId);
    const { rows, more } = await readPage(tx, input.groupId, input);
    return { messages: rows.map((row) => toMessage(row, epoch)), position: { epoch, seq }, more };
  });
}

export interface EventPage {
  events: GroupEvent[];
  /** Of the last event returned or, with nothing to return, of the group. */
  position: Position;
  more: boolean;
  /** The epoch asked for was replaced, or what came after `after` was removed: reload the messages, and go on from `position`. */
  reset?: true;
}

/** Catch-up: every positioned event after `after`, oldest first, as many as a page may hold. Below the floor there is a `reset`. */
export async function listEvents(
  deps: MessageDeps,
  input: Author & { after: number; epoch?: string | undefined; limit: number },
): Promise<EventPage> {
  return snapshot(deps.db, async (tx) => {
    const { epoch, seq, floor_seq } = await readGroupAs(tx, input.groupId, input.userId);
    // A position that is not behind the group's is of another history, and below the floor there is none any more.
    const relation = relationOf({ epoch, seq }, { epoch: input.epoch ?? epoch, seq: input.after });
    if (relation !== 'behind' || input.after < floor_seq) {
      return { reset: true, events: [], position: { epoch, seq }, more: false };
    }
    const events = await readEvents(tx, input.groupId, epoch, input.after, input.limit);
    const last = events.at(-1)?.seq ?? seq;
    return { events, position: { epoch, seq: last }, more: last < seq };
  });
}
