import {
  GroupcastError,
  type TraceHop,
  type TraceRecipient,
  type TraceSummary,
  type TraceVerdict,
} from '@groupcast/shared';
import { countRecipients, findRecipients, type Recipient, readRecipients } from '../cursors/recipient-store.ts';
import type { Database } from '../db/database.ts';
import { isMember } from '../groups/member-store.ts';
import type { RelayPort } from '../outbox/relay-connection.ts';
import type { OwnOutbox } from './outbox-hop.ts';
import { type Facts, shownToSelf, shownToSender, stateOf, summaryOf } from './recipients.ts';
import { askRelay } from './relay-question.ts';
import { findTraced, type TracedMessage } from './trace-store.ts';
import { hopsOf, judge, type NoRecipient, notARecipient, stopBeforeRelay } from './verdict.ts';

/** Most recipients of one message who are summed up. */
const MAX_SUMMED = 10_000;

export interface TraceDeps {
  db: Database;
  relay: Pick<RelayPort, 'getTrace' | 'getPresence'>;
  own: OwnOutbox;
  /** Called before the relays are asked, for which other requests need not wait. */
  onAsking?: () => void;
}

/** The caller: a service, which sees everything, or a user. */
export type Viewer = { kind: 'service' } | { kind: 'user'; userId: string };

export interface TraceInput {
  messageId: string;
  viewer: Viewer;
  userId?: string | undefined;
  after?: string | undefined;
  limit: number;
}

/** One message on its way. It has no word of what the message says. */
export interface MessageTrace {
  messageId: string;
  groupId: string;
  seq: number;
  verdict: TraceVerdict;
  hops: TraceHop[];
  summary: TraceSummary;
  summaryOf?: number;
  recipientCount: number;
  recipients: TraceRecipient[];
  unreachable: string[];
  next?: string;
}

type Role = 'operator' | 'sender' | 'self';

/** A user who is no member learns nothing, also not whether there is such a message. */
async function roleOf(db: Database, message: TracedMessage, { viewer, userId }: TraceInput): Promise<Role | undefined> {
  if (viewer.kind === 'service') return 'operator';
  if (!(await isMember(db, message.groupId, viewer.userId))) return undefined;
  if (message.senderId === viewer.userId) return 'sender';
  if (userId === undefined || userId === viewer.userId) return 'self';
  throw new GroupcastError('FORBIDDEN', 'unable to trace the message for another user; only its sender may');
}

interface Audience {
  /** Those who are summed up. */
  summed: Recipient[];
  page: Recipient[];
  next: string | undefined;
  count: number;
}

async function readAudience(
  db: Database,
  message: TracedMessage,
  { userId, after = '', limit }: { userId: string | undefined; after?: string | undefined; limit: number },
): Promise<Audience> {
  if (userId !== undefined) {
    const one = await findRecipients(db, message, [userId]);
    return { summed: one, page: one, next: undefined, count: one.length };
  }
  const found = await readRecipients(db, message, { after: '', limit: MAX_SUMMED + 1 });
  const summed = found.slice(0, MAX_SUMMED);
  const count = found.length > MAX_SUMMED ? await countRecipients(db, message) : found.length;
  const rows =
    after === '' ? found.slice(0, limit + 1) : await readRecipients(db, message, { after, limit: limit + 1 });
  const page = rows.slice(0, limit);
  return { summed, page, next: rows.length > limit ? page.at(-1)?.userId : undefined, count };
}

async function whyNotFor(db: Database, { senderId, groupId }: TracedMessage, userId: string): Promise<NoRecipient> {
  if (userId === senderId) return 'its sender';
  return (await isMember(db, groupId, userId)) ? 'a later member' : 'no member';
}

/** The users who are shown in the group; undefined where the relay does not say. */
async function presentIn(relay: TraceDeps['relay'], groupId: string): Promise<ReadonlySet<string> | undefined> {
  try {
    const { users } = await relay.getPresence({ groupId });
    return new Set(users.map(({ userId }) => userId));
  } catch {
    return undefined;
  }
}

/** The state of each recipient as the caller may see it. */
async function viewOf(
  relay: TraceDeps['relay'],
  groupId: string,
  role: Role,
  facts: Facts,
): Promise<(recipient: Recipient) => TraceRecipient> {
  if (role === 'operator') return (recipient) => stateOf(recipient, facts);
  if (role === 'self') return (recipient) => shownToSelf(stateOf(recipient, facts), facts);
  const present = facts.answer.kind === 'answered' && !facts.stop ? await presentIn(relay, groupId) : undefined;
  return (recipient) => shownToSender(stateOf(recipient, facts), { ...facts, present });
}

/**
 * Answers at which hop a message is, and for whom: by the database and this process as far as it has left the outbox, and by the relays from there
 * on. It always answers; a relay that does not is the answer.
 */
export async function traceMessage(deps: TraceDeps, input: TraceInput): Promise<MessageTrace> {
  const { db, relay, own } = deps;
  const { messageId, viewer } = input;
  let message = await findTraced(db, messageId);
  const role = message && (await roleOf(db, message, input));
  if (!message || !role) {
    const why = viewer.kind === 'service' ? 'there is none with this id' : 'there is none, or you are not a member';
    throw new GroupcastError('NOT_FOUND', `unable to find message "${messageId}"; ${why}`);
  }
  const userId = role === 'self' && viewer.kind === 'user' ? viewer.userId : input.userId;
  const { summed, page, next, count } = await readAudience(db, message, { ...input, userId });
  const whyNot = userId !== undefined && count === 0 ? await whyNotFor(db, message, userId) : undefined;
  deps.onAsking?.();

  const unknown = new Set([...summed, ...page].filter(({ known }) => !known).map((recipient) => recipient.userId));
  const answer = await askRelay({ relay, own }, message, [...unknown]);
  let stop = stopBeforeRelay(message, own, answer);
  if (stop && answer.kind === 'silent') {
    // It may have left the outbox while the relay was asked.
    message = (await findTraced(db, messageId)) ?? message;
    stop = stopBeforeRelay(message, own, answer);
  }
  const facts: Facts = { answer, stop };
  const show = await viewOf(relay, message.groupId, role, facts);

  const recipients = summed.map(show);
  const shown = { recipients, summary: summaryOf(recipients) };
  const view = { isOperator: role === 'operator' };
  return {
    messageId,
    groupId: message.groupId,
    seq: message.seq,
    verdict: userId !== undefined && whyNot ? notARecipient(userId, whyNot) : judge(facts, shown, view),
    hops: hopsOf(message, facts, shown, view),
    summary: shown.summary,
    ...(count > summed.length ? { summaryOf: summed.length } : {}),
    recipientCount: count,
    recipients: page.map(show),
    unreachable: view.isOperator && answer.kind === 'answered' ? answer.trace.unreachable : [],
    ...(next === undefined ? {} : { next }),
  };
}
