import type { Logger } from '@groupcast/service-kit';
import { type GroupEvent, groupRoom, userRoom } from '@groupcast/shared';
import type { Sender } from '../fan-out/sender.ts';
import type { GroupLog } from '../group-log/group-log.ts';
import { senderOf } from '../sessions/message-sender.ts';
import type { RelayServer } from '../sessions/session.ts';
import type { MessageOf } from '../transient/messages.ts';

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
  log: Logger;
}): ShowStatus {
  const { sender, groupLog, log } = deps;
  const { adapter } = deps.io.of('/');

  /** Receipts of each group that are being shown, the last one at the end: they are shown in their order. */
  const showing = new Map<string, Promise<void>>();

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
    { received, read }: MessageOf<'receipt'>['users'][string],
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
      if (!message) continue;
      const own = [...(adapter.rooms.get(userRoom(userId)) ?? [])];
      const payload = { groupId, messageId: message.id, status, userId };
      sender.send(groupRoom(groupId), { name: 'message-status', payload }, { socketIds: own, instead: undefined });
    }
  }

  async function showAll(groupId: string, users: MessageOf<'receipt'>['users']): Promise<void> {
    // Most of them are equally far.
    const pages = new Map<number, Promise<GroupEvent[]>>();
    const messagesAt = async (seq: number): Promise<GroupEvent[]> => {
      const page = pages.get(seq) ?? messagesUpTo(groupId, seq);
      pages.set(seq, page);
      return page;
    };
    for (const [userId, cursors] of Object.entries(users)) await show({ groupId, userId, messagesAt }, cursors);
  }

  return (groupId, users) => {
    if (!sender.dialectsIn(groupRoom(groupId)).some(({ saysStatus }) => saysStatus)) return;
    const before = showing.get(groupId);
    const now = (async () => {
      await before;
      await showAll(groupId, users);
    })().catch((error: unknown) => log.debug({ err: error, groupId }, 'unable to look up the message of a receipt'));
    showing.set(groupId, now);
    void now.finally(() => {
      if (showing.get(groupId) === now) showing.delete(groupId);
    });
  };
}
