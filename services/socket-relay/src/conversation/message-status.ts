import type { Logger } from '@groupcast/service-kit';
import { type GroupEvent, groupRoom, userRoom } from '@groupcast/shared';
import type { Sender } from '../fan-out/sender.ts';
import type { GroupLog } from '../group-log/group-log.ts';
import { senderOf } from '../sessions/message-sender.ts';
import type { RelayServer } from '../sessions/session.ts';
import { MAX_USERS, type MessageOf } from '../transient/messages.ts';

type CursorsOf = MessageOf<'receipt'>['users'][string];

/** Events before a position among which its message is looked for: others may lie between. */
const LOOK_BACK = 50;

/**
 * Says `message-status` beside `receipt`, in dialects that name a message where others name a position: how far a member is, by the newest
 * message of others up to there. Says nothing of what the log does not hold any more.
 */
export type ShowStatus = (groupId: string, users: MessageOf<'receipt'>['users']) => void;

export function createMessageStatus(deps: {
  io: RelayServer;
  sender: Sender;
  groupLog: Pick<GroupLog, 'read'>;
  /** False while this relay may show nothing. */
  isTrusted: () => boolean;
  log: Logger;
}): ShowStatus {
  const { sender, groupLog, isTrusted, log } = deps;
  const { adapter } = deps.io.of('/');

  /** Receipts of the groups of which others are being shown: they are shown after those, merged, however long the log takes. */
  const waiting = new Map<string, Map<string, CursorsOf>>();

  async function messagesUpTo(groupId: string, seq: number): Promise<GroupEvent[]> {
    const { events } = await groupLog.read(groupId, Math.max(0, seq - LOOK_BACK), LOOK_BACK);
    return events.filter((event) => event.event === 'new-message' && (event.seq ?? 0) <= seq);
  }

  async function show(
    {
      groupId,
      userId,
      messagesAt,
    }: { groupId: string; userId: string; messagesAt: (seq: number) => Promise<GroupEvent[]> },
    { received, read }: CursorsOf,
  ): Promise<void> {
    // A member has received everything that it has read.
    const isNews = received !== undefined && received > (read ?? -1);
    const steps = [
      ['delivered', isNews ? received : undefined],
      ['read', read],
    ] as const;
    for (const [status, seq] of steps) {
      if (seq === undefined) continue;
      const message = (await messagesAt(seq)).findLast((event) => senderOf(event) !== userId);
      // Somebody may have been removed without this relay's knowledge while it read.
      if (!message || !isTrusted()) continue;
      const own = [...(adapter.rooms.get(userRoom(userId)) ?? [])];
      const payload = { groupId, messageId: message.id, status, userId };
      sender.send(groupRoom(groupId), { name: 'message-status', payload }, { socketIds: own, instead: undefined });
    }
  }

  async function showAll(groupId: string, users: Iterable<readonly [string, CursorsOf]>): Promise<void> {
    // Most of them are equally far.
    const pages = new Map<number, Promise<GroupEvent[]>>();
    const messagesAt = async (seq: number): Promise<GroupEvent[]> => {
      const page = pages.get(seq) ?? messagesUpTo(groupId, seq);
      pages.set(seq, page);
      return page;
    };
    for (const [userId, cursors] of users) await show({ groupId, userId, messagesAt }, cursors);
  }

  async function showUntilNoneWaits(groupId: string, users: Iterable<readonly [string, CursorsOf]>): Promise<void> {
    await showAll(groupId, users);
    for (let next = waiting.get(groupId); next && next.size > 0; next = waiting.get(groupId)) {
      waiting.set(groupId, new Map());
      await showAll(groupId, next);
    }
    waiting.delete(groupId);
  }

  return (groupId, users) => {
    if (!sender.dialectsIn(groupRoom(groupId)).some(({ saysStatus }) => saysStatus)) return;
    const before = waiting.get(groupId);
    if (before) {
      for (const [userId, cursors] of Object.entries(users)) {
        if (before.has(userId) || before.size < MAX_USERS) before.set(userId, { ...before.get(userId), ...cursors });
      }
      return;
    }
    waiting.set(groupId, new Map());
    showUntilNoneWaits(groupId, Object.entries(users)).catch((error: unknown) => {
      waiting.delete(groupId);
      log.debug({ err: error, groupId }, 'unable to look up the message of a receipt');
    });
  };
}
