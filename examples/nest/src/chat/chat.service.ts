import { randomBytes, randomUUID } from 'node:crypto';
import { Inject, Injectable, type OnApplicationShutdown } from '@nestjs/common';
import { Subject } from 'rxjs';
import { ChatException } from './chat-exception.js';
import { type Change, JOURNAL, type Journal, type Message } from './journal.js';

const MAX_CONTENT = 10_000;
const MAX_PAGE = 1_000;

interface Group {
  id: string;
  name: string;
  /** Which count of the group `seq` belongs to. */
  epoch: string;
  userIds: Set<string>;
  /** The message with `seq` n is at n - 1. */
  messages: Message[];
  sent: number;
}

export interface NewMessage {
  groupId: string;
  userId: string;
  content: unknown;
  clientMessageId?: unknown;
}

const newEpoch = (generation: number) => `${generation}-${randomBytes(6).toString('hex')}`;

/** Groups, members and messages. It knows nothing of HTTP, sockets or the relay. */
@Injectable()
export class ChatService implements OnApplicationShutdown {
  private readonly groups = new Map<string, Group>();
  /** Ids of groups that have a message which the relay does not have yet. */
  readonly saved = new Subject<string>();

  constructor(@Inject(JOURNAL) private readonly journal: Journal) {
    for (const change of journal.changes) this.apply(change);
    if (this.groups.size === 0) {
      this.save({ kind: 'group', id: '7', name: 'Corner shop', epoch: newEpoch(1), userIds: ['alice', 'bob'] });
    }
  }

  onApplicationShutdown(): void {
    this.journal.close();
  }

  isMember(userId: string, groupId: string): boolean {
    return this.groups.get(groupId)?.userIds.has(userId) ?? false;
  }

  groupsOf(userId: string): { id: string; name: string }[] {
    return Array.from(this.groups.values())
      .filter(({ userIds }) => userIds.has(userId))
      .map(({ id, name }) => ({ id, name }));
  }

  /** Returns the message once it is saved, which is when it is certain to be broadcast. A repeated one is the first again. */
  send({ groupId, userId, content, clientMessageId }: NewMessage): Message {
    const { messages } = this.groupOf(groupId, userId);
    if (typeof content !== 'string' || content.trim() === '' || content.length > MAX_CONTENT) {
      throw new ChatException(400, 'INVALID_PAYLOAD', `unable to send; content is a text of 1 to ${MAX_CONTENT}`);
    }
    const clientId = typeof clientMessageId === 'string' ? clientMessageId.slice(0, 128) : undefined;
    const isRepeated = (one: Message) => one.senderId === userId && one.clientMessageId === clientId;
    const first = clientId === undefined ? undefined : messages.findLast(isRepeated);
    if (first) return first;
    const message: Message = {
      id: randomUUID(),
      groupId,
      seq: messages.length + 1,
      senderId: userId,
      content,
      createdAt: new Date().toISOString(),
      ...(clientId === undefined ? {} : { clientMessageId: clientId }),
    };
    this.save({ kind: 'message', message });
    this.saved.next(groupId);
    return message;
  }

  /** The newest messages, oldest first. */
  list(groupId: string, userId: string): readonly Message[] {
    return this.groupOf(groupId, userId).messages.slice(-50);
  }

  // For the outbox, and for what the relay asks.

  get groupIds(): string[] {
    return Array.from(this.groups.keys());
  }

  /** The first message that the relay has not acknowledged. */
  unsent(groupId: string): { message: Message; epoch: string } | undefined {
    const group = this.groups.get(groupId);
    const message = group?.messages[group.sent];
    return group && message && { message, epoch: group.epoch };
  }

  /** The relay has everything up to `seq`, and nothing above. */
  setSent(groupId: string, seq: number): void {
    this.save({ kind: 'sent', groupId, seq });
  }

  /** The relay has other messages at these places, as after a backup was restored: those to come are counted above its own. */
  startOver(groupId: string, generation: number): void {
    this.save({ kind: 'epoch', groupId, epoch: newEpoch(generation) });
  }

  /** The newest messages that the relay has had, for one whose log is empty. */
  history(groupId: string, limit: number): { epoch: string; messages: readonly Message[] } | undefined {
    const group = this.groups.get(groupId);
    if (!group || group.sent === 0) return undefined;
    const from = Math.max(0, group.sent - Math.min(limit, MAX_PAGE));
    return { epoch: group.epoch, messages: group.messages.slice(from, group.sent) };
  }

  private groupOf(groupId: string, userId: string): Group {
    const group = this.groups.get(groupId);
    if (!group?.userIds.has(userId)) {
      throw new ChatException(403, 'NOT_A_MEMBER', 'unable to open the group; you are not a member');
    }
    return group;
  }

  private save(change: Change): void {
    this.journal.append(change);
    this.apply(change);
  }

  private apply(change: Change): void {
    switch (change.kind) {
      case 'group':
        this.groups.set(change.id, { ...change, userIds: new Set(change.userIds), messages: [], sent: 0 });
        return;
      case 'message':
        this.groups.get(change.message.groupId)?.messages.push(change.message);
        return;
      case 'sent':
        Object.assign(this.groups.get(change.groupId) ?? {}, { sent: change.seq });
        return;
      case 'epoch':
        Object.assign(this.groups.get(change.groupId) ?? {}, { epoch: change.epoch });
        return;
      default:
        change satisfies never;
    }
  }
}
