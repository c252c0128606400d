import {
  type Hop,
  hasReached,
  nameIn,
  RECIPIENT_STATES,
  type RelayTrace,
  type TraceHop,
  type TraceRecipient,
  type TraceSummary,
  type TraceVerdict,
  type UnknownRefusals,
  withRefusals,
} from '@groupcast/shared';
import { causeOf, fixOf, isDispatched, type OwnOutbox, type Stop, stopInOutbox } from './outbox-hop.ts';
import type { Facts } from './recipients.ts';
import { CODE_OF_STATE, TRACE_CODES, type TraceCode } from './trace-codes.ts';
import type { TracedMessage } from './trace-store.ts';

/** The hops of which the API knows by the cursors of recipients; those between come from the relays. */
const OF_CLIENTS: ReadonlySet<Hop> = new Set(['client-received', 'client-applied']);
/** Hops of the relays that say nothing of who is connected. */
const OF_NOBODY: ReadonlySet<Hop> = new Set(['relay-accepted', 'published']);

const hasPassed = (trace: RelayTrace, hop: Hop): boolean => trace.hops.some((each) => each.hop === hop && each.ok);

/** The reason why the message has not left the outbox; undefined where it has. */
export function stopBeforeRelay(message: TracedMessage, own: OwnOutbox, answer: Facts['answer']): Stop | undefined {
  if (message.omittedCode !== undefined) return { code: 'EVENT_OMITTED', detail: message.omittedCode };
  const isAccepted = answer.kind === 'answered' && hasPassed(answer.trace, 'relay-accepted');
  return isAccepted || isDispatched(message, own) ? undefined : stopInOutbox(message, own);
}

const of = (count: number, total: number): string => `${count} of ${total}`;

function countIn(summary: TraceSummary, states: (state: keyof TraceSummary) => boolean): number {
  return RECIPIENT_STATES.reduce((total, state) => total + (states(state) ? (summary[state] ?? 0) : 0), 0);
}

function elapsed(from: string | undefined, to: string | undefined): number | undefined {
  return from === undefined || to === undefined ? undefined : Math.max(0, Date.parse(to) - Date.parse(from));
}

/** Those who see everything: the others are not shown nodes, counts of connections, and words of relays. */
interface View {
  isOperator: boolean;
}

const ACCEPTED: TraceHop = { hop: 'relay-accepted', ok: true, detail: 'the relay has accepted it' };

function hopsOfRelay(message: TracedMessage, { answer, stop }: Facts, { isOperator }: View): TraceHop[] {
  if (stop) {
    const { hop } = TRACE_CODES[stop.code];
    if (hop === 'claimed') return [];
    return [{ hop: 'relay-accepted', ok: false, detail: causeOf(stop, isOperator) }];
  }
  if (answer.kind === 'silent') {
    return [ACCEPTED, { hop: 'published', ok: false, detail: `it is not known: ${causeOf(answer.stop, isOperator)}` }];
  }
  if (!hasPassed(answer.trace, 'relay-accepted')) {
    const said = answer.trace.hops.find(({ hop }) => hop === 'relay-accepted')?.detail;
    const detail = said !== undefined && isOperator ? `no relay remembers it: ${said}` : 'no relay remembers it';
    return [ACCEPTED, { hop: 'published', ok: false, detail }];
  }
  const hops = answer.trace.hops.filter(({ hop }) => !OF_CLIENTS.has(hop));
  const savedAt = message.createdAt.toISOString();
  return hops
    .filter(({ hop }) => isOperator || OF_NOBODY.has(hop))
    .map(({ hop, ok, at, ms, node, count, detail }) => {
      const since = hop === 'relay-accepted' ? (ms ?? elapsed(savedAt, at)) : ms;
      const time = { ...(at === undefined ? {} : { at }), ...(since === undefined ? {} : { ms: since }) };
      if (!isOperator) return { hop, ok, ...time, detail: ok ? 'it has passed' : 'it has not passed' };
      const place = { ...(node === undefined ? {} : { node }), ...(count === undefined ? {} : { count }) };
      return { hop, ok, ...time, ...place, detail };
    });
}

/** The recipients who are summed up, as the caller may see them. */
export interface Shown {
  recipients: readonly TraceRecipient[];
  summary: TraceSummary;
}

const haveIt = ({ summary }: Shown): number => countIn(summary, hasReached);

function detailOfClaim(stop: Stop | undefined, isClaimed: boolean, { isOperator }: View): string {
  if (!stop || stop.code === 'EVENT_OMITTED') return 'a dispatcher has taken it out of the outbox';
  return isClaimed ? 'it is in the outbox, and nobody holds it back' : causeOf(stop, isOperator);
}

/** The hops of a message, as far as it came: the one that it did not pass is the last of them, or one at which it is for some. */
export function hopsOf(message: TracedMessage, facts: Facts, shown: Shown, view: View): TraceHop[] {
  const { stop } = facts;
  const { summary } = shown;
  const total = shown.recipients.length;
  const at = message.createdAt.toISOString();
  const isClaimed = !stop || TRACE_CODES[stop.code].hop !== 'claimed';
  const hops: TraceHop[] = [
    { hop: 'saved', ok: true, at, detail: `saved at position ${message.seq} of group "${message.groupId}"` },
    {
      hop: 'claimed',
      ok: isClaimed,
      detail: detailOfClaim(stop, isClaimed, view),
    },
    ...hopsOfRelay(message, facts, view),
  ];
  const have = haveIt(shown);
  const written = have + (summary.written ?? 0);
  const hopOfAll = (hop: Hop, count: number, detail: string): TraceHop => ({ hop, ok: count === total, count, detail });
  const relayed = hops.map((hop) =>
    // The relays were not asked about those whose cursors say that they have it.
    hop.hop === 'written' ? { ...hop, ...hopOfAll('written', written, `to ${of(written, total)} recipients`) } : hop,
  );
  if (total === 0 || (have === 0 && relayed.some(({ ok }) => !ok))) return relayed;
  relayed.push(hopOfAll('client-received', have, `${of(have, total)} have it`));
  if (have === 0) return relayed;
  const applied = summary.applied ?? 0;
  return [...relayed, hopOfAll('client-applied', applied, `${of(applied, total)} have said so`)];
}

/** The state of most recipients who do not have it. */
function mostCommon(summary: TraceSummary): keyof typeof CODE_OF_STATE {
  const states = Object.keys(CODE_OF_STATE) as (keyof typeof CODE_OF_STATE)[];
  return states.toSorted((a, b) => (summary[b] ?? 0) - (summary[a] ?? 0))[0] ?? 'pending';
}

function verdictOf(state: TraceVerdict['state'], stop: Stop, { isOperator }: View, hop?: Hop): TraceVerdict {
  const { code } = stop;
  return {
    state,
    hop: hop ?? TRACE_CODES[code].hop,
    code,
    cause: causeOf(stop, isOperator),
    fix: fixOf(stop, isOperator),
  };
}

/**
 * The verdict where it is for some recipients, or for each of them, that they do not have it: by the state of most of them, with one as an example.
 */
function verdictOfMissing(
  { recipients, summary }: Shown,
  have: number,
  view: View,
  refusals: readonly UnknownRefusals[],
): TraceVerdict {
  const total = recipients.length;
  const state = mostCommon(summary);
  const code: TraceCode = CODE_OF_STATE[state];
  const example = recipients.find((each) => each.state === state);
  const verdict = verdictOf(have > 0 ? 'partly' : 'stopped', { code }, view);
  const { userId = '', why = verdict.cause } = example ?? {};
  const isOne = total - have === 1;
  const found = {
    ...verdict,
    cause: isOne
      ? `"${userId}" does not have it: ${why}`
      : `${of(total - have, total)} do not have it: ${verdict.cause} (such as "${userId}": ${why})`,
    fix: example?.fix ?? nameIn(verdict.fix, 'user', userId),
  };
  return view.isOperator ? withRefusals(found, refusals) : found;
}

/** The verdict about all recipients. A hop that stops everybody comes before the states of each. */
export function judge({ answer, stop }: Facts, shown: Shown, view: View): TraceVerdict {
  const { summary } = shown;
  const total = shown.recipients.length;
  const have = haveIt(shown);
  const state = have > 0 ? 'partly' : 'stopped';
  if (total > 0 && have === total) {
    const hop = summary.applied === total ? 'client-applied' : 'client-received';
    return verdictOf('delivered', { code: 'DELIVERED' }, view, hop);
  }
  if (stop) return verdictOf(state, stop, view);
  if (total === 0) return verdictOf('delivered', { code: 'NO_RECIPIENTS' }, view);
  // The relay has accepted it before.
  if (answer.kind === 'silent') return verdictOf(state, answer.stop, view, 'published');
  const { hops, verdict } = answer.trace;
  const isForgotten = verdict.code === 'NOT_REMEMBERED' || !hasPassed(answer.trace, 'relay-accepted');
  if (isForgotten) return verdictOf(state, { code: 'NOT_REMEMBERED' }, view);
  const isHeldUp = (hop: Hop): boolean => hops.some((each) => each.hop === hop && !each.ok);
  if (have === 0 && (isHeldUp('published') || isHeldUp('node-received'))) {
    if (view.isOperator && verdict.state === 'stopped') return verdict;
    if (isHeldUp('published')) return verdictOf('stopped', { code: 'NOT_PUBLISHED' }, view);
  }
  return verdictOfMissing(shown, have, view, answer.trace.refusals);
}

/** The reason why a message is not for a user. */
export type NoRecipient = 'its sender' | 'no member' | 'a later member';

const NOT_FOR: Readonly<Record<NoRecipient, { is: string; fix: string }>> = {
  'its sender': { is: 'who sent it', fix: 'ask about another member, or about all of them' },
  'no member': {
    is: 'who is not a member of the group',
    fix: 'check the id of the user; if it is right, add the user to the group',
  },
  'a later member': {
    is: 'who joined the group after it was saved',
    fix: 'nothing needs to be done: the user finds it in the history of the group, unless it was deleted',
  },
};

export function notARecipient(userId: string, reason: NoRecipient): TraceVerdict {
  const { is, fix } = NOT_FOR[reason];
  const verdict = verdictOf('stopped', { code: 'NOT_A_RECIPIENT' }, { isOperator: false });
  return { ...verdict, cause: `the message is not for "${userId}", ${is}`, fix };
}
