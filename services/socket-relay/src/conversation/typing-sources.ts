import type { Typing } from '@groupcast/shared';
import { GroupcastError } from '@groupcast/shared';

/** How long a member types after the last `true`, in milliseconds. */
export const TYPING_MS = 6_000;
/** Shortest time between two words about one typist, in milliseconds. */
export const SAY_EVERY_MS = 1_000;
/** Groups in which one user types at once, on all connections to one node: more is no typing. */
const MAX_OF_USER = 20;
/** Most typists of one group, and of all groups, on one node. */
const MAX_OF_GROUP = 1_000;
const MAX_TYPISTS = 20_000;

interface Typist {
  groupId: string;
  userId: string;
  /** The connection on which the member typed last. */
  socketId: string;
  /** When typing ends by itself; 0 once it has ended. Milliseconds of the monotonic clock. */
  until: number;
  /** Whether the others have heard of it, and when they heard last. */
  said: boolean;
  saidAt: number;
  /** It has stopped since, and may have begun again. The others have to hear of both: with the message that it sent, they took it off. */
  stopped: boolean;
}

/**
 * The members who type on connections of this node. Of what they report, `say` hears one word a second and member at most: that the member
 * types, again while it goes on, and at last that it has stopped. It hears that too if the client says nothing more, or is gone.
 */
export interface TypingSources {
  /** Throws `RATE_LIMITED` if more members type than are shown. */
  report(socketId: string, typing: Typing): void;
  /** The connection has left this group, or all groups. */
  left(socketId: string, groupId?: string): void;
  /** Says what has become due. Returns how many still type, or have stopped a moment ago. */
  sweep(): number;
}

function add(counts: Map<string, number>, key: string, by: 1 | -1): void {
  const count = (counts.get(key) ?? 0) + by;
  if (count > 0) counts.set(key, count);
  else counts.delete(key);
}

export function createTypingSources(
  say: (typing: Typing) => void,
  now: () => number = () => performance.now(),
): TypingSources {
  const typists = new Map<string, Typist>();
  const bySocket = new Map<string, Set<string>>();
  const countOfGroup = new Map<string, number>();
  const countOfUser = new Map<string, number>();

  const keyOf = ({ groupId, userId }: { groupId: string; userId: string }): string => `${groupId}\n${userId}`;

  function open(key: string, { groupId, userId }: Typing): Typist {
    const ofUser = (countOfUser.get(userId) ?? 0) >= MAX_OF_USER;
    if (ofUser || (countOfGroup.get(groupId) ?? 0) >= MAX_OF_GROUP || typists.size >= MAX_TYPISTS) {
      throw new GroupcastError(
        'RATE_LIMITED',
        `unable to show that the user types in group "${groupId}"; ${ofUser ? 'the user types in too many' : 'too many do'}`,
        { retryAfterMs: SAY_EVERY_MS },
      );
    }
    const typist = {
      groupId,
      userId,
      socketId: '',
      until: 0,
      said: false,
      saidAt: Number.NEGATIVE_INFINITY,
      stopped: false,
    };
    add(countOfGroup, groupId, 1);
    add(countOfUser, userId, 1);
    typists.set(key, typist);
    return typist;
  }

  function close(key: string, typist: Typist): void {
    typists.delete(key);
    release(key, typist);
    add(countOfGroup, typist.groupId, -1);
    add(countOfUser, typist.userId, -1);
  }

  function release(key: string, { socketId }: Typist): void {
    const keys = bySocket.get(socketId);
    keys?.delete(key);
    if (keys?.size === 0) bySocket.delete(socketId);
  }

  function settle(key: string, typist: Typist, isNews: boolean): void {
    const { groupId, userId } = typist;
    const isTyping = typist.until > now();
    const isDue = now() - typist.saidAt >= SAY_EVERY_MS;
    const word = isTyping && !(typist.stopped && typist.said);
    if (isDue && (word ? isNews || !typist.said : typist.said)) {
      typist.said = word;
      typist.saidAt = now();
      typist.stopped = false;
      say({ groupId, userId, isTyping: word });
    }
    // It is kept for a second after its last word, so that a member who stops and begins again is not heard more often.
    if (!isTyping && !typist.said && now() - typist.saidAt >= SAY_EVERY_MS) close(key, typist);
  }

  return {
    report(socketId, typing) {
      const key = keyOf(typing);
      const known = typists.get(key);
      if (!typing.isTyping && !known) return;
      const typist = known ?? open(key, typing);
      release(key, typist);
      typist.socketId = socketId;
      bySocket.set(socketId, (bySocket.get(socketId) ?? new Set()).add(key));
      typist.until = typing.isTyping ? now() + TYPING_MS : 0;
      typist.stopped ||= !typing.isTyping;
      settle(key, typist, true);
    },
    left(socketId, groupId) {
      for (const key of bySocket.get(socketId) ?? []) {
        const typist = typists.get(key);
        if (!typist || (groupId !== undefined && typist.groupId !== groupId)) continue;
        typist.until = 0;
        settle(key, typist, true);
      }
    },
    sweep() {
      for (const [key, typist] of typists) settle(key, typist, false);
      return typists.size;
    },
  };
}
