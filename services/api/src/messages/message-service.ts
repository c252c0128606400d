import { randomUUID } from 'node:crypto';
import {
  GroupcastError,
  type GroupEvent,
  type JsonObject,
  type Message,
  type Position,
  relationOf,
} from '@groupcast/shared';
import { type Database, isUniqueViolation, type Queryable, snapshot } from '../db/database.ts';
import { type EventWriter, nextPosition } from '../events/event-store.ts';
import { groupNotFound } from '../events/group-not-found.ts';
import { readEvents } from '../events/history-store.ts';
import { readGroupAs } from '../groups/group-store.ts';
import { isMember } from '../groups/member-store.ts';
import type { Dispatcher } from '../outbox/dispatcher.ts';
import {
  eraseMessage,
  findByClientId,
  lockMessage,
  type MessageRow,
  readPage,
  saveMessage,
  toMessage,
  updateContent,
} from './message-store.ts';

export interface MessageDeps {
  db: Database;
  dispatcher: Pick<Dispatcher, 'wake'>;
  events: EventWriter;
}

interface Author {
  groupId: string;
  userId: string;
}

/** The group's row is locked first, so that a removal of the sender either comes before this message or after it. */
async function takePosition(tx: Queryable, { groupId, userId }: Author): Promise<Position> {
  const position = await nextPosition(tx, groupId);
  if (!(await isMember(tx, groupId, userId))) throw groupNotFound(groupId);
  return position;
}

/**
 * Resolves after commit: the message is saved and will be relayed, whichever process crashes next. A repeated
 * `clientMessageId` of the same sender in the same group resolves to the first message.
 */
export async function sendMessage(
  deps: MessageDeps,
  input: Author & { content: string; clientMessageId?: string | undefined; attachments?: JsonObject[] | undefined },
): Promise<Message> {
  const { groupId, userId: senderId, content, clientMessageId, attachments } = input;
  const id = randomUUID();
  const createdAt = new Date();
  const body = {
    senderId,
    content,
    createdAt: createdAt.toISOString(),
    ...(clientMessageId === undefined ? {} : { clientMessageId }),
    ...(attachments === undefined ? {} : { attachments }),
  };
  // Members receive the message without its envelope, which the relay adds.
  const payload: JsonObject = body;

  const first = async (): Promise<Message | undefined> => {
    if (clientMessageId === undefined) return undefined;
    const { epoch } = await readGroupAs(deps.db, groupId, senderId);
    const row = await findByClientId(deps.db, groupId, senderId, clientMessageId);
    return row && toMessage(row, epoch);
  };

  try {
    const message = { id, groupId, senderId, content, attachments, clientMessageId, createdAt };
    const position = await saveMessage(deps.db, message, deps.events.encode(payload));
    if (!position) throw groupNotFound(groupId);
    deps.dispatcher.wake(groupId);
    return { id, groupId, ...position, ...body };
  } catch (error) {
    // A message with the same clientMessageId was saved before.
    const winner = isUniqueViolation(error) ? await first() : undefined;
    if (winner) return winner;
    throw error;
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

export async function editMessage(
  deps: MessageDeps,
  input: Author & { messageId: string; content: string },
): Promise<Message> {
  const { groupId, messageId, content } = input;
  const updatedAt = new Date();
  const payload: JsonObject = { messageId, content, senderId: input.userId, updatedAt: updatedAt.toISOString() };
  const message = await deps.db.transaction(async (tx) => {
    const position = await takePosition(tx, input);
    const row = await lockOwn(tx, input, messageId, 'edit');
    await updateContent(tx, messageId, content, updatedAt);
    await deps.events.append(tx, groupId, position.seq, { id: randomUUID(), type: 'message-updated', payload });
    return toMessage({ ...row, content, updated_at: updatedAt }, position.epoch);
  });
  deps.dispatcher.wake(groupId);
  return message;
}

/** Takes the content out of the history too; the event that says so has a position of its own. */
export async function deleteMessage(deps: MessageDeps, input: Author & { messageId: string }): Promise<void> {
  const { groupId, messageId, userId } = input;
  await deps.db.transaction(async (tx) => {
    const position = await takePosition(tx, input);
    const row = await lockOwn(tx, input, messageId, 'delete');
    await eraseMessage(tx, groupId, messageId, row.seq);
    await deps.events.append(tx, groupId, position.seq, {
      id: randomUUID(),
      type: 'message-deleted',
      payload: { messageId, messageSeq: row.seq, senderId: userId },
    });
  });
  deps.dispatcher.wake(groupId);
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
  /** The epoch asked for was replaced: reload the messages, and go on from `position`. */
  reset?: true;
}

/** Catch-up: every positioned event after `after`, oldest first, as many as a page may hold. */
export async function listEvents(
  deps: MessageDeps,
  input: Author & { after: number; epoch?: string | undefined; limit: number },
): Promise<EventPage> {
  return snapshot(deps.db, async (tx) => {
    const { epoch, seq } = await readGroupAs(tx, input.groupId, input.userId);
    // A position that is not behind the group's is of another history.
    if (relationOf({ epoch, seq }, { epoch: input.epoch ?? epoch, seq: input.after }) !== 'behind') {
      return { reset: true, events: [], position: { epoch, seq }, more: false };
    }
    const events = await readEvents(tx, input.groupId, epoch, input.after, input.limit);
    const last = events.at(-1)?.seq ?? seq;
    return { events, position: { epoch, seq: last }, more: last < seq };
  });
}
