import {
  type Position,
  type TraceRecipient,
  type TraceVerdict,
  type UnknownRefusals,
  withRefusals,
} from '@groupcast/shared';
import type { NodeTrace } from '../wire-format.ts';
import { hasPassed } from './node-trace.ts';
import { judgeRecipients } from './verdict.ts';

/** An event is not in the log, which has gone past it: it was `accepted`, as its position says, or nothing says whether it was. */
export type Forgotten = 'accepted' | 'perhaps';

/** Everything that a verdict depends on. */
export interface Known {
  position: Position | null;
  isKnown: boolean;
  forgotten: Forgotten | undefined;
  head: Position | null;
  nodes: readonly NodeTrace[];
  recipients: readonly TraceRecipient[];
  missing: readonly string[];
  refusals: readonly UnknownRefusals[];
  /** The users were named, and those who are nowhere are among the recipients. */
  isNamed: boolean;
  isAway: boolean;
  /** Names a group that may be meant, where nobody is in this one. */
  hintAt: (groupId: string) => string | undefined;
}

/** Names the first hop that the event did not pass, and what to do. */
export function judgeTrace(groupId: string, known: Known): TraceVerdict {
  const { position, isKnown, forgotten, head, nodes, recipients, missing, refusals, isNamed, isAway } = known;
  if (isAway) {
    return {
      state: 'stopped',
      hop: 'published',
      code: 'REDIS_UNREACHABLE',
      cause: 'this relay cannot reach Redis, and so neither the log of the group nor the other relays',
      fix: 'see whether Redis runs at REDIS_URL, and can be written to; nothing is lost: publishers send again',
    };
  }
  if (!isKnown) {
    const stands = head ? `the log of the group stands at ${head.seq}` : 'the log of the group is empty';
    if (forgotten) return judgeForgotten(forgotten, stands);
    return {
      state: 'stopped',
      hop: 'relay-accepted',
      code: 'NOT_ACCEPTED',
      cause: `no relay knows the event; ${stands}`,
      fix: 'look at the publisher: its broadcast was not answered with ok. After a restart without Redis a relay knows nothing of before',
    };
  }
  const behind = nodes.find(
    ({ members, arrivedAt, cursor }) =>
      members > 0 && arrivedAt === undefined && position !== null && !hasPassed(cursor, position),
  );
  if (behind) {
    return {
      state: recipients.some(({ state }) => state === 'proven') ? 'partly' : 'stopped',
      hop: 'node-received',
      code: 'NODE_BEHIND',
      cause: `the event has not come to relay ${behind.node}, which has ${behind.members} members of the group and stands at ${behind.cursor?.seq ?? 'nothing'}`,
      fix: 'see whether that relay reaches Redis (its /readyz says so); it reads what it missed from the log by itself',
    };
  }
  if (missing.length > 0 && !isNamed) {
    // Nobody knows who is there.
    return {
      state: recipients.some(({ state }) => state === 'proven') ? 'partly' : 'stopped',
      hop: 'node-received',
      code: 'NODE_UNREACHABLE',
      cause: `relay ${missing.join(', ')} does not answer, and may have members of the group`,
      fix: 'see whether that relay runs (npx groupcast doctor, with every relay named): if it is frozen, restart it',
    };
  }
  if (recipients.length === 0) {
    const hint = known.hintAt(groupId);
    return {
      state: 'stopped',
      hop: 'written',
      code: hint === undefined ? 'NO_RECIPIENTS' : 'NEAR_MISS',
      cause: `nobody is in group ${groupId}${hint === undefined ? '' : `; ${hint}`}`,
      fix: 'compare the id of the group that is published to with the one that pages join, letter by letter',
    };
  }
  const judged = judgeRecipients(recipients);
  if (judged.state === 'delivered' && !isNamed) {
    const cause = `everybody who is in the group has it (${recipients.length})`;
    return { ...judged, cause, fix: 'ask about somebody else who should have it by name' };
  }
  return withRefusals(judged, refusals);
}

function judgeForgotten(forgotten: Forgotten, stands: string): TraceVerdict {
  if (forgotten === 'accepted') {
    return {
      state: 'stopped',
      hop: 'published',
      code: 'NOT_REMEMBERED',
      cause: `it was accepted, and no relay remembers it any more; ${stands}`,
      fix: 'nothing is to be done: clients that lack it read it from the back end. HISTORY_SIZE says how far logs go',
    };
  }
  return {
    state: 'stopped',
    hop: 'relay-accepted',
    code: 'NOT_REMEMBERED',
    cause: `no relay remembers the event; ${stands}, and no longer has its oldest events, of which it may be one`,
    fix: 'ask with its seq, which tells whether it was accepted; if it was sent just now, look at the answer that its publisher got',
  };
}
