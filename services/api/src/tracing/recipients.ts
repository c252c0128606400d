import {
  hasReached,
  RECIPIENT_STATES,
  type RecipientState,
  type TraceRecipient,
  type TraceSummary,
} from '@groupcast/shared';
import type { Recipient } from '../cursors/recipient-store.ts';
import { causeOf, fixOf, type Stop } from './outbox-hop.ts';
import type { RelayAnswer } from './relay-question.ts';

/** The facts of which the state of each recipient follows. */
export interface Facts {
  answer: RelayAnswer;
  /** The reason why the message has not left the outbox; undefined where it has. */
  stop: Stop | undefined;
}

const WHY = {
  applied: 'their cursor says that it is on their screen',
  received: 'their cursor says that they have received it',
} as const;

const isFurther = (one: RecipientState, other: RecipientState): boolean =>
  RECIPIENT_STATES.indexOf(one) < RECIPIENT_STATES.indexOf(other);

function ofRelay(userId: string, { answer, stop }: Facts): TraceRecipient {
  const known = answer.kind === 'answered' ? answer.users.get(userId) : undefined;
  if (known && hasReached(known.state)) return known;
  if (stop) return { userId, state: 'pending', why: causeOf(stop, false), fix: fixOf(stop, true) };
  if (known) return known;
  if (answer.kind === 'silent') {
    const why = `it is not known: ${causeOf(answer.stop, true)}`;
    return { userId, state: 'node-unreachable', why, fix: fixOf(answer.stop, true) };
  }
  if (answer.isPart) {
    return { userId, state: 'node-unreachable', why: 'it is not known: the relays did not answer in time' };
  }
  return { userId, state: 'offline', why: 'no relay knows of a connection of theirs' };
}

/** How far the message is for one recipient: the furthest that their cursors or the relays say. */
export function stateOf({ userId, known }: Recipient, facts: Facts): TraceRecipient {
  const ofRelays = ofRelay(userId, facts);
  if (known === undefined || isFurther(ofRelays.state, known)) return ofRelays;
  const { at, node, socketId } = ofRelays;
  const seen = hasReached(ofRelays.state);
  return {
    userId,
    state: known,
    why: WHY[known],
    ...(seen && at !== undefined ? { at } : {}),
    ...(seen && node !== undefined ? { node } : {}),
    ...(seen && socketId !== undefined ? { socketId } : {}),
  };
}

/** The same recipient as another user may see them: where they are connected is nobody else's business. */
function withoutPlace({ node: _node, socketId: _socketId, ...rest }: TraceRecipient): TraceRecipient {
  return rest;
}

/** Reasons in words of no relay: those may have its names and addresses. */
const PLAIN: Partial<Record<RecipientState, string>> = {
  ...WHY,
  proven: 'their client has read it',
  written: 'it was written to a connection of theirs',
  pending: 'they have not got it yet',
  'slow-consumer': 'they do not read fast enough',
  offline: 'they have not got it, and are not shown as being in the group',
  'node-unreachable': 'it is not known at present',
};

/** States of somebody who is in the group on a connection. */
const IN_GROUP: ReadonlySet<RecipientState> = new Set(['written', 'pending', 'slow-consumer']);

/**
 * The recipient as the sender sees them. Nobody is told more about a recipient's presence than by `get-presence`, where those who hide it are not
 * shown: `present` has the users who are, or is undefined where that is not known.
 */
export function shownToSender(
  recipient: TraceRecipient,
  { present, answer, stop }: Facts & { present: ReadonlySet<string> | undefined },
): TraceRecipient {
  const { userId, state } = recipient;
  const plain = (shown: RecipientState): TraceRecipient => ({ userId, state: shown, why: PLAIN[shown] ?? '' });
  if (hasReached(state)) return { ...withoutPlace(recipient), ...plain(state) };
  if (stop) return { userId, state: 'pending', why: causeOf(stop, false), fix: fixOf(stop, false) };
  if (answer.kind === 'silent') return plain('node-unreachable');
  if (!present) return plain('pending');
  return plain(present.has(userId) && IN_GROUP.has(state) ? state : 'offline');
}

/** The recipient as they see themselves. */
export function shownToSelf(recipient: TraceRecipient, { answer, stop }: Facts): TraceRecipient {
  if (hasReached(recipient.state)) return withoutPlace(recipient);
  const { userId } = recipient;
  if (stop) return { userId, state: 'pending', why: causeOf(stop, false), fix: fixOf(stop, false) };
  if (answer.kind === 'silent') return { userId, state: 'node-unreachable', why: PLAIN['node-unreachable'] ?? '' };
  return withoutPlace(recipient);
}

export function summaryOf(recipients: readonly TraceRecipient[]): TraceSummary {
  const summary: TraceSummary = {};
  for (const { state } of recipients) summary[state] = (summary[state] ?? 0) + 1;
  return summary;
}
