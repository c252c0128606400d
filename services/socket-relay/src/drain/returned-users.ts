import type { NodeRequests } from '../nodes/node-requests.ts';
import type { Drain } from './drain.ts';

/** Counts the users who left a drained relay and came back to others. The relays that took them in know, and tell any relay that asks. */
export interface Returns {
  /** A session of the user has begun here with positions, and everything since was recovered. */
  recovered: (userId: string) => void;
  /**
   * Returns how many of the connections that the drain moved have come back to other relays, and were recovered, so far; `null` if nobody
   * can say. Each is counted for one drained relay only.
   */
  countOfDrain: () => Promise<number | null>;
}

/** Most sessions that are remembered, the newest. Older ones came back long before anybody asks. */
const MAX_REMEMBERED = 50_000;

export function createReturns(deps: {
  node: string;
  drain: Drain;
  requests: Pick<NodeRequests, 'answer' | 'survey'> | undefined;
}): Returns {
  const { node, drain, requests } = deps;
  const sessions: { userId: string; at: number; countedBy?: string }[] = [];

  requests?.answer('returns', async ({ node: asker, users, withinMs }) => {
    const left = new Map(users);
    const counts = new Map<string, number>();
    for (const session of sessions) {
      const { userId, at, countedBy = asker } = session;
      const count = counts.get(userId) ?? 0;
      if (performance.now() - at > withinMs || countedBy !== asker || count >= (left.get(userId) ?? 0)) continue;
      session.countedBy = asker;
      counts.set(userId, count + 1);
    }
    return { users: [...counts] };
  });

  return {
    recovered(userId) {
      if (sessions.push({ userId, at: performance.now() }) > MAX_REMEMBERED) sessions.shift();
    },
    async countOfDrain() {
      const moved = drain.movedUsers();
      if (!requests || !moved) return null;
      const { users, withinMs } = moved;
      const question = { node, users: [...users], withinMs };
      const answers = await requests.survey('returns', question).catch(() => undefined);
      if (!answers) return null;
      const counts = new Map<string, number>();
      for (const [userId, count] of answers.flatMap((answer) => answer.users)) {
        counts.set(userId, Math.min(users.get(userId) ?? 0, (counts.get(userId) ?? 0) + count));
      }
      return [...counts.values()].reduce((sum, count) => sum + count, 0);
    },
  };
}
